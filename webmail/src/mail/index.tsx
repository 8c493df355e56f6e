// The mail view: mailboxes, list and reading side by side, or one at a time on a phone.

import "./mail.css";
import "./reading.css";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/t.ts";
import { place } from "../router.ts";
import { compose } from "../state/compose.ts";
import { preferences, setPreferences } from "../state/preferences.ts";
import { Button } from "../ui/button.tsx";
import { Splitter } from "../ui/splitter.tsx";
import { useMailKeys } from "./bindings.ts";
import { Dialogs } from "./dialogs.tsx";
import { List } from "./list.tsx";
import { startWhenSignedIn } from "./live.ts";
import { SearchBox } from "./search_box.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Reading } from "./thread.tsx";
import { TopBar } from "./top_bar.tsx";
import { view } from "./view.ts";

const isSideShown = signal(false);
const sideWidth = signal(preferences.peek().sidebarWidth);
const listWidth = signal(preferences.peek().listWidth);
const SIDE = { min: 180, max: 420 };
const LIST = { min: 300, max: 800 };

startWhenSignedIn();

export default function Mail() {
  useMailKeys();
  const { path } = place.value;
  useEffect(() => {
    isSideShown.value = false;
  }, [path]);
  const { threadId } = view.value;
  const isSplit = preferences.value.readingPane === "right";
  const names = ["mail", threadId && "reading-open", isSplit ? "split" : "single"];
  const style = { "--side": `${sideWidth.value}px`, "--list": `${listWidth.value}px` };
  return (
    <div class={names.filter(Boolean).join(" ")} style={style}>
      <TopBar
        onMenu={() => {
          isSideShown.value = !isSideShown.value;
        }}
        isMenuOpen={isSideShown.value}
      >
        <SearchBox />
      </TopBar>
      <Sidebar isShown={isSideShown.value} />
      {isSideShown.value && (
        <button
          type="button"
          class="veil"
          aria-label={t("common.close")}
          onClick={() => {
            isSideShown.value = false;
          }}
        />
      )}
      <main class="stage" id="content" tabIndex={-1}>
        <Splitter
          label={t("pane.resizeSide")}
          size={sideWidth.value}
          {...SIDE}
          onResize={(size) => {
            sideWidth.value = size;
          }}
          onDone={(size) => setPreferences({ sidebarWidth: size })}
        />
        <div class="panes">
          <List />
          {isSplit && (
            <Splitter
              label={t("pane.resizeList")}
              size={listWidth.value}
              {...LIST}
              onResize={(size) => {
                listWidth.value = size;
              }}
              onDone={(size) => setPreferences({ listWidth: size })}
            />
          )}
          <section class="reading-pane" aria-label={t("read.label")}>
            <Reading />
          </section>
        </div>
      </main>
      <Button
        kind="primary"
        icon="compose"
        class="compose-small"
        aria-label={t("do.compose")}
        onClick={() => compose({ kind: "new" })}
      />
      <Dialogs />
    </div>
  );
}
