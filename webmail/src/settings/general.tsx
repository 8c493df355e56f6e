import { useSignal } from "@preact/signals";
import { type Language, languages } from "../i18n/index.ts";
import { type Preferences, preferences, setPreferences } from "../state/preferences.ts";
import { Select, Switch } from "../ui/field.tsx";
import { Panel } from "./frame.tsx";
import { t } from "./texts.ts";

export function GeneralSettings() {
  const chosen = preferences.value;
  const isDenied = useSignal(globalThis.Notification?.permission === "denied");
  const tongues = Object.entries(languages) as [Language, string][];
  const notify = async (isOn: boolean) => {
    if (isOn && globalThis.Notification) isDenied.value = (await Notification.requestPermission()) === "denied";
    setPreferences({ notifications: isOn && !isDenied.peek() });
  };
  return (
    <>
      <Panel title={t("appearance")}>
        <div class="two">
          <Select
            label={t("theme")}
            value={chosen.theme}
            options={[
              { value: "auto", label: t("themeAuto") },
              { value: "light", label: t("themeLight") },
              { value: "dark", label: t("themeDark") },
            ]}
            onChange={(theme) => setPreferences({ theme })}
          />
          <Select
            label={t("language")}
            value={chosen.language}
            options={[
              { value: "auto", label: t("languageAuto") },
              ...tongues.map(([value, label]) => ({ value, label })),
            ]}
            onChange={(language) => setPreferences({ language: language as Preferences["language"] })}
          />
          <Select
            label={t("density")}
            value={chosen.density}
            options={[
              { value: "comfortable", label: t("comfortable") },
              { value: "compact", label: t("compact") },
            ]}
            onChange={(density) => setPreferences({ density })}
          />
          <Select
            label={t("readingPane")}
            value={chosen.readingPane}
            options={[
              { value: "right", label: t("paneRight") },
              { value: "none", label: t("paneNone") },
            ]}
            onChange={(readingPane) => setPreferences({ readingPane })}
          />
        </div>
      </Panel>
      <Panel title={t("writing")}>
        <Switch
          label={t("plainText")}
          hint={t("plainTextHint")}
          isOn={chosen.plainText}
          onChange={(plainText) => setPreferences({ plainText })}
        />
      </Panel>
      <Panel title={t("notifications")}>
        <Switch
          label={t("notifications")}
          hint={isDenied.value ? t("notificationsDenied") : t("notificationsHint")}
          isOn={chosen.notifications}
          onChange={(isOn) => void notify(isOn)}
        />
      </Panel>
    </>
  );
}
