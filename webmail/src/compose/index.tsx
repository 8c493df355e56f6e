import { t } from "../i18n/t.ts";
import { closeComposer, composers } from "../state/compose.ts";
import { Dialog } from "../ui/dialog.tsx";

/** Every open window to write in. */
export default function Composers() {
  return (
    <>
      {composers.value.map(({ key, request }) => (
        <Dialog key={key} title={t("nav.mail")} onClose={() => closeComposer(key)}>
          <p>{request.kind}</p>
        </Dialog>
      ))}
    </>
  );
}
