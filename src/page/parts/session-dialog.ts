import { html, type View } from "../html.ts";
import { DeleteForm, EraseForm } from "./erase-forms.ts";
import { ExportDialog } from "./export-dialog.ts";
import { DescribeForm, ForkForm, type SessionFormProps } from "./session-forms.ts";

const DIALOGS = {
  fork: ForkForm,
  describe: DescribeForm,
  export: ExportDialog,
  delete: DeleteForm,
  erase: EraseForm,
} as const;

/** What a dialog of a session is for. */
export type DialogName = keyof typeof DIALOGS;

export interface SessionDialogProps extends SessionFormProps {
  readonly dialog: DialogName;
}

/** A dialog of a session. */
export function SessionDialog({ dialog, ...props }: SessionDialogProps): View {
  return html`<${DIALOGS[dialog]} ...${props} />`;
}
