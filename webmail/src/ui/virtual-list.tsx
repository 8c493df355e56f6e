// A long list of rows of one height: only those in sight, and a few around them, are in the document.

import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export interface VirtualListProps {
  count: number;
  rowHeight: number;
  renderRow: (index: number) => ComponentChildren;
  /** Rows from `first` to before `last` are now in the document. */
  onRange?: (first: number, last: number) => void;
  /** Keep this row in sight when it changes; -1 for none. */
  follow?: number;
  label: string;
  role?: "listbox" | "grid" | "list";
  /** Goes back to the top when it changes. */
  resetKey?: string;
  native?: JSX.IntrinsicElements["div"];
}

const AROUND = 8;

export function VirtualList(props: VirtualListProps) {
  const { count, rowHeight, renderRow, onRange, follow = -1, label, role = "list", resetKey, native } = props;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(800);
  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () => setHeight(element.clientHeight || 800);
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    measure();
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    setTop(0);
  }, [resetKey]);
  useLayoutEffect(() => {
    const element = box.current!;
    if (follow < 0) return;
    const start = follow * rowHeight;
    if (start < element.scrollTop) element.scrollTop = start;
    else if (start + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = start + rowHeight - element.clientHeight;
    }
  }, [follow, rowHeight]);
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight), count - 1) - AROUND);
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + AROUND);
  // Not after the next frame: what is missing is asked for at once.
  useLayoutEffect(() => onRange?.(first, last), [first, last, count, resetKey]);
  const rows: ComponentChildren[] = [];
  for (let index = first; index < last; index++) rows.push(renderRow(index));
  return (
    <div
      {...native}
      ref={box}
      class="virtual"
      role={role}
      aria-label={label}
      onScroll={(event) => {
        const now = event.currentTarget.scrollTop;
        // Painting again within the rows that are there already would change nothing.
        if (Math.floor(now / rowHeight) !== Math.floor(top / rowHeight)) setTop(now);
      }}
    >
      <div class="virtual-room" role="presentation" style={{ height: `${count * rowHeight}px` }}>
        <div class="virtual-rows" role="presentation" style={{ transform: `translateY(${first * rowHeight}px)` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
