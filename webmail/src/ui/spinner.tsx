import { t } from "../i18n/t.ts";

export function Spinner({ isCentred }: { isCentred?: boolean }) {
  const ring = (
    <span class="spinner" role="status">
      <span class="unseen">{t("app.loading")}</span>
    </span>
  );
  return isCentred ? <div class="centre">{ring}</div> : ring;
}
