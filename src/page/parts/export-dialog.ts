import { useEffect, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import { exportFileName, readExport } from "../store/export-file.ts";
import { bytesText } from "../store/format.ts";
import { notify } from "../store/page-context.ts";
import { messageOf, shownName } from "../store/shown-name.ts";
import { Modal } from "./modal.ts";
import type { SessionFormProps } from "./session-forms.ts";

/** How long the browser may take to begin with a download, in milliseconds. */
const KEPT_MS = 60_000;

/** Reads the export and hands it to the browser as a file. */
export function ExportDialog({ context: { link }, session: { name }, close }: SessionFormProps): View {
  const [read, setRead] = useState(0);
  const [failure, setFailure] = useState<string | undefined>(undefined);
  useEffect(() => {
    const leaving = new AbortController();
    readExport(link.client, name, setRead, leaving.signal).then(
      (file) => {
        if (leaving.signal.aborted) return;
        save(file, exportFileName(name, new Date().toISOString().slice(0, 10)));
        notify(`${shownName(name)} is exported: ${bytesText(file.size)}.`);
        close();
      },
      (error: unknown) => {
        if (!leaving.signal.aborted) setFailure(messageOf(error));
      },
    );
    return () => leaving.abort();
  }, []);
  return html`<${Modal} title=${`Export ${shownName(name)}`} close=${close}>
    ${
      failure === undefined
        ? html`<p role="status">Turns, events, conversations and their files are read: ${bytesText(read)} so far.</p>`
        : html`<p class="form-failure" role="alert">There is no file, because the export is incomplete: ${failure}</p>`
    }
    <div class="dialog-buttons">
      <button class="button" type="button" autofocus onClick=${close}>${failure === undefined ? "Cancel" : "Close"}</button>
    </div>
  <//>`;
}

function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
