import { t } from "../i18n/t.ts";

export default function Mail() {
  return (
    <main id="content" class="page">
      <h1>{t("nav.mail")}</h1>
    </main>
  );
}
