// Says that something did not work, and why.

import { t } from "./i18n/t.ts";
import { OfflineError } from "./jmap/client.ts";
import { toast } from "./ui/toast.tsx";

export function reasonOf(error: unknown): string {
  if (error instanceof OfflineError) return t("app.noConnection");
  return error instanceof Error ? error.message : String(error);
}

export function complain(error: unknown): void {
  toast(t("action.failed", { reason: reasonOf(error) }), { isError: true });
}
