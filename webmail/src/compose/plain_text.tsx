import { useEffect, useRef } from "preact/hooks";
import type { Draft } from "./draft.ts";
import { t } from "./texts.ts";

/** The caret starts at the top, above signature and quote. */
export function PlainText({ draft }: { draft: Draft }) {
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const element = area.current!;
    element.value = draft.content.text;
    element.setSelectionRange(0, 0);
    if (draft.to.peek().length) element.focus();
    draft.showText = () => {
      element.value = draft.content.text;
    };
    return () => {
      draft.showText = null;
    };
  }, []);
  return (
    <textarea
      ref={area}
      class="compose-plain"
      aria-label={t("message")}
      spellcheck
      onInput={(event) => {
        draft.content = { ...draft.content, text: event.currentTarget.value };
        draft.touch();
      }}
    />
  );
}
