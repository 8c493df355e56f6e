/** A page beside the mail: a way back, a list of its parts, one of them shown. For settings and administration. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t as shell } from "../i18n/t.ts";
import { useKeys } from "../keys.ts";
import { go } from "../router.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import "./frame.css";

export interface Part {
  key: string;
  label: string;
  icon: IconName;
}

export interface FrameProps {
  title: string;
  /** Of the address: "/settings". */
  base: string;
  parts: readonly Part[];
  chosen: string;
  children: ComponentChildren;
}

export function Frame({ title, base, parts, chosen, children }: FrameProps) {
  useKeys([
    { keys: "u", label: shell("common.back"), group: title, run: () => go("/mail/inbox") },
    { keys: "g i", label: shell("nav.mail"), group: title, run: () => go("/mail/inbox"), isHidden: true },
  ]);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [chosen]);
  const part = parts.find((one) => one.key === chosen);
  return (
    <div class="frame">
      <nav class="frame-nav" aria-label={title}>
        <a class="frame-back" href="/mail/inbox">
          <Icon name="arrowLeft" />
          <span>{shell("nav.mail")}</span>
        </a>
        <p class="frame-title">{title}</p>
        <ul ref={list}>
          {parts.map((one) => (
            <li key={one.key}>
              <a href={`${base}/${one.key}`} aria-current={one.key === chosen ? "page" : undefined}>
                <Icon name={one.icon} size={18} />
                <span>{one.label}</span>
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="content" class="frame-main" tabIndex={-1}>
        <div class="frame-inner" key={chosen}>
          <h1>{part?.label ?? title}</h1>
          {children}
        </div>
      </main>
    </div>
  );
}

export interface PanelProps {
  title?: string;
  text?: ComponentChildren;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}

export function Panel({ title, text, children, actions }: PanelProps) {
  return (
    <section class="panel">
      {(title || actions) && (
        <header>
          {title && <h2>{title}</h2>}
          {actions && <div class="panel-actions">{actions}</div>}
        </header>
      )}
      {text && <p class="quiet">{text}</p>}
      {children}
    </section>
  );
}
