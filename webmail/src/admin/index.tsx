import { t } from "../i18n/t.ts";

export default function Administration() {
  return (
    <main id="content" class="page">
      <h1>{t("nav.admin")}</h1>
    </main>
  );
}
