import { place } from "../router.ts";
import { DeliverySettings } from "./delivery.tsx";
import { Frame, type Part } from "./frame.tsx";
import { GeneralSettings } from "./general.tsx";
import { IdentitySettings } from "./identities.tsx";
import { ReadingSettings } from "./reading.tsx";
import { SecuritySettings } from "./security.tsx";
import { SessionSettings } from "./sessions.tsx";
import { t } from "./texts.ts";
import { TransferSettings } from "./transfer.tsx";

const PAGES = {
  general: GeneralSettings,
  identities: IdentitySettings,
  security: SecuritySettings,
  sessions: SessionSettings,
  delivery: DeliverySettings,
  reading: ReadingSettings,
  transfer: TransferSettings,
} as const;
type Key = keyof typeof PAGES;

export default function Settings() {
  const asked = place.value.parts[1] ?? "";
  const chosen: Key = asked in PAGES ? (asked as Key) : "general";
  const Page = PAGES[chosen];
  const parts: Part[] = [
    { key: "general", label: t("general"), icon: "settings" },
    { key: "identities", label: t("identities"), icon: "user" },
    { key: "security", label: t("security"), icon: "lock" },
    { key: "sessions", label: t("sessions"), icon: "device" },
    { key: "delivery", label: t("delivery"), icon: "forward" },
    { key: "reading", label: t("reading"), icon: "mail" },
    { key: "transfer", label: t("transfer"), icon: "download" },
  ];
  return (
    <Frame title={t("title")} base="/settings" parts={parts} chosen={chosen}>
      <Page />
    </Frame>
  );
}
