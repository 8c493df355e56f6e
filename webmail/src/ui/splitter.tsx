// The line between two panes, moved by mouse, finger or arrow keys.

import { useRef } from "preact/hooks";

export interface SplitterProps {
  label: string;
  size: number;
  min: number;
  max: number;
  onResize: (size: number) => void;
  /** When the move is over: time to keep it. */
  onDone: (size: number) => void;
}

const STEP = 16;

export function Splitter({ label, size, min, max, onResize, onDone }: SplitterProps) {
  const from = useRef<{ x: number; size: number } | null>(null);
  const clamp = (value: number) => Math.round(Math.max(min, Math.min(max, value)));
  return (
    <div
      class="splitter"
      role="separator"
      aria-orientation="vertical"
      aria-label={label}
      aria-valuenow={size}
      aria-valuemin={min}
      aria-valuemax={max}
      tabIndex={0}
      onPointerDown={(event) => {
        from.current = { x: event.clientX, size };
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        if (from.current) onResize(clamp(from.current.size + event.clientX - from.current.x));
      }}
      onPointerUp={(event) => {
        if (from.current) onDone(clamp(from.current.size + event.clientX - from.current.x));
        from.current = null;
      }}
      onKeyDown={(event) => {
        const by = event.key === "ArrowRight" ? STEP : event.key === "ArrowLeft" ? -STEP : 0;
        if (!by) return;
        event.preventDefault();
        onResize(clamp(size + by));
        onDone(clamp(size + by));
      }}
    />
  );
}
