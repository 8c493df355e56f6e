// The bar at the top, also of other pages: name, search, account.

import type { ComponentChildren } from "preact";
import { t } from "../i18n/t.ts";
import { go } from "../router.ts";
import { isDark, setPreferences } from "../state/preferences.ts";
import { session, signOut } from "../state/session.ts";
import { Avatar } from "../ui/avatar.tsx";
import { IconButton } from "../ui/button.tsx";
import { Menu, type MenuEntry } from "../ui/menu.tsx";
import { asking } from "./act.ts";

export interface TopBarProps {
  children?: ComponentChildren;
  onMenu: () => void;
  isMenuOpen: boolean;
}

export function TopBar({ children, onMenu, isMenuOpen }: TopBarProps) {
  return (
    <header class="top-bar">
      <IconButton
        icon="menu"
        class="menu-button"
        label={t("nav.menu")}
        aria-expanded={isMenuOpen}
        aria-controls="sidebar"
        onClick={onMenu}
      />
      <a class="brand" href="/mail/inbox" aria-label="Posthouse">
        <img src="/icon.svg" alt="" width={26} height={26} />
        <span>Posthouse</span>
      </a>
      {children}
      <span class="top-tools">
        <IconButton
          icon="keyboard"
          class="wide-only"
          label={t("keys.title")}
          keys="?"
          onClick={() => {
            asking.value = { kind: "keys" };
          }}
        />
        <IconButton icon="settings" class="wide-only" label={t("nav.settings")} onClick={() => go("/settings")} />
        <AccountMenu />
      </span>
    </header>
  );
}

function AccountMenu() {
  const account = session.value?.account;
  if (!account) return null;
  const name = account.displayName || account.name;
  const admin: MenuEntry[] = account.isAdmin ? [{ label: t("nav.admin"), icon: "admin", run: () => go("/admin") }] : [];
  return (
    <Menu
      label={`${t("nav.account")}: ${name}`}
      class="account-button"
      items={[
        { label: account.name, icon: "user", isDisabled: true, run: () => undefined },
        "line",
        { label: t("nav.settings"), icon: "settings", run: () => go("/settings") },
        ...admin,
        {
          label: t("theme.toggle"),
          icon: "eye",
          run: () => setPreferences({ theme: isDark.peek() ? "light" : "dark" }),
        },
        {
          label: t("keys.title"),
          icon: "keyboard",
          run: () => {
            asking.value = { kind: "keys" };
          },
        },
        "line",
        { label: t("nav.signOut"), icon: "logout", run: () => void signOut() },
      ]}
    >
      <Avatar name={account.displayName} email={account.name} size={32} />
    </Menu>
  );
}
