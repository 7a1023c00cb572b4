import { useState } from "preact/hooks";
import type { ErasureReport } from "../../wire/erasure.ts";
import { html, type View } from "../html.ts";
import { fieldText } from "../store/field-text.ts";
import { plural } from "../store/format.ts";
import { notify } from "../store/page-context.ts";
import { plain, shownName } from "../store/shown-name.ts";
import { Modal, ModalForm } from "./modal.ts";
import type { SessionFormProps } from "./session-forms.ts";

/** A name that has to be typed before something is lost for good. */
function TypedAgain({
  name,
  text,
  type,
}: {
  readonly name: string;
  readonly text: string;
  readonly type: (text: string) => void;
}): View {
  return html`<label class="field">
    <span class="field-name">Type <b>${name}</b> to confirm</span>
    <input
      autofocus
      spellcheck="false"
      autocomplete="off"
      value=${text}
      onInput=${(event: Event) => type(fieldText(event))}
    />
  </label>`;
}

/** Ends the session and forgets its conversations. */
export function DeleteForm({ context, session, close }: SessionFormProps): View {
  const { link, fleet, navigation } = context;
  const [text, setText] = useState("");
  const name = shownName(session.name);
  const remove = async (): Promise<void> => {
    await link.client.session(session.name).delete();
    fleet.touch(session.name);
    notify(`${name} is deleted.`);
    close();
    navigation.go("/");
  };
  return html`<${ModalForm}
    title=${`Delete ${name}?`}
    confirm="Delete"
    doing="Deleting…"
    danger
    close=${close}
    blocked=${text.trim() === name ? undefined : ""}
    submit=${remove}
  >
    <p>
      The session ends, with its running and waiting turns, and Claude forgets its conversations. What it spent stays in the usage. Its
      record and files stay until they are erased or expire.
    </p>
    <${TypedAgain} name=${name} text=${text} type=${setText} />
  <//>`;
}

/** Erases all data of the session, and reports what remains. */
export function EraseForm({ context, session, close }: SessionFormProps): View {
  const { link, fleet, navigation } = context;
  const [text, setText] = useState("");
  const [memory, setMemory] = useState(false);
  const [report, setReport] = useState<ErasureReport | undefined>(undefined);
  const name = shownName(session.name);
  const erase = async (): Promise<void> => {
    setReport(await link.client.session(session.name).erase({ memory }));
    fleet.touch(session.name);
  };
  if (report !== undefined) {
    const leave = (): void => {
      close();
      navigation.go("/");
    };
    return html`<${Modal} title=${`${name} is erased`} close=${leave}><${Report} report=${report} />
      <div class="dialog-buttons"><button class="button primary" type="button" autofocus onClick=${leave}>Close</button></div>
    <//>`;
  }
  return html`<${ModalForm}
    title=${`Erase ${name}?`}
    confirm="Erase for good"
    doing="Erasing…"
    danger
    close=${close}
    blocked=${text.trim() === name ? undefined : ""}
    submit=${erase}
  >
    <p>
      The session ends, and everything that is known of it is removed: turns, record, approvals, conversations and their files. What it
      spent stays in the usage, under an anonymous name. Nobody can undo this.
    </p>
    <label class="check">
      <input
        type="checkbox"
        checked=${memory}
        onChange=${(event: Event) => setMemory((event.currentTarget as HTMLInputElement).checked)}
      />
      <span>Also Claude's memory of the working directory. Only if no other session works there.</span>
    </label>
    <${TypedAgain} name=${name} text=${text} type=${setText} />
  <//>`;
}

function Report({ report }: { readonly report: ErasureReport }): View {
  const { turns, events, approvals, conversations, files, left } = report;
  const gone = [
    plural(turns, "turn"),
    plural(events, "event"),
    plural(approvals, "approval"),
    plural(conversations.length, "conversation"),
    plural(files, "file"),
  ];
  return html`<p>Removed: ${gone.join(", ")}.</p>
    ${
      left.length > 0 &&
      html`<p>This remains, and needs your attention:</p>
        <ul class="left-behind">
          ${left.map(({ what, where, why }) => html`<li key=${`${what} ${where}`}><b>${what}</b> ${plain(where)}: ${plain(why)}</li>`)}
        </ul>`
    }`;
}
