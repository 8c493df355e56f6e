import { t } from "../i18n/t.ts";

export default function Settings() {
  return (
    <main id="content" class="page">
      <h1>{t("nav.settings")}</h1>
    </main>
  );
}
