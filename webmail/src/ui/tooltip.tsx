// One tooltip for the whole page: any element with `data-tooltip` has it, by mouse and by keyboard.

import { useEffect, useRef } from "preact/hooks";

const WAIT_MS = 450;
const GAP = 6;

export function Tooltips() {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let timer = 0;
    let owner: Element | null = null;
    const hide = () => {
      clearTimeout(timer);
      owner = null;
      element.current?.hidePopover?.();
    };
    const show = () => {
      const tip = element.current;
      const text = owner?.getAttribute("data-tooltip");
      if (!tip || !owner?.isConnected || !text) return;
      tip.textContent = text;
      tip.showPopover?.();
      const box = owner.getBoundingClientRect();
      const left = box.left + box.width / 2 - tip.offsetWidth / 2;
      const isBelow = box.bottom + GAP + tip.offsetHeight < innerHeight;
      tip.style.left = `${Math.max(GAP, Math.min(left, innerWidth - tip.offsetWidth - GAP))}px`;
      tip.style.top = `${isBelow ? box.bottom + GAP : box.top - GAP - tip.offsetHeight}px`;
    };
    const enter = (event: Event) => {
      const found = (event.target as Element | null)?.closest?.("[data-tooltip]") ?? null;
      if (found === owner) return;
      hide();
      owner = found;
      if (!found) return;
      if (event.type === "focusin" && !found.matches(":focus-visible")) return;
      timer = window.setTimeout(show, WAIT_MS);
    };
    const key = (event: KeyboardEvent) => event.key === "Escape" && hide();
    document.addEventListener("pointerover", enter);
    document.addEventListener("focusin", enter);
    document.addEventListener("pointerdown", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("pointerover", enter);
      document.removeEventListener("focusin", enter);
      document.removeEventListener("pointerdown", hide);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("keydown", key);
    };
  }, []);
  return <div ref={element} class="tooltip" popover="manual" aria-hidden="true" />;
}
