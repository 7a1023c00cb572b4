import { useState } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { pathOf } from "../store/address.ts";
import { fieldText } from "../store/field-text.ts";
import { keyOf } from "../store/name.ts";
import { notify, type PageContext } from "../store/page-context.ts";
import { descriptionChanges } from "../store/session-description.ts";
import { shownName } from "../store/shown-name.ts";
import { typedName } from "../store/typed-name.ts";
import { Icon } from "./icon.ts";
import { ModalForm } from "./modal.ts";

export interface SessionFormProps {
  readonly context: PageContext;
  readonly session: SessionInfo;
  readonly close: () => void;
}

/** Asks for the name of a fork, makes it, and opens it. */
export function ForkForm({ context, session, close }: SessionFormProps): View {
  const { link, fleet, navigation } = context;
  const [text, setText] = useState("");
  const { name, problem } = typedName(text);
  const isTaken = name !== undefined && fleet.rows.value.has(keyOf(name));
  const hint = isTaken
    ? "A session has this name already."
    : name === undefined
      ? problem
      : `Opens as ${shownName(name)}.`;
  const fork = async (): Promise<void> => {
    if (name === undefined) return;
    await link.client.session(session.name).fork({ name });
    fleet.touch(name);
    notify(`${shownName(name)} continues this conversation.`);
    close();
    navigation.go(pathOf({ page: "session", name }));
  };
  return html`<${ModalForm}
    title=${`Fork ${shownName(session.name)}`}
    confirm="Fork"
    doing="Forking…"
    close=${close}
    blocked=${name === undefined || isTaken ? hint : undefined}
    submit=${fork}
  >
    <p>Another session begins with a copy of this conversation and the same options. The two then continue independently.</p>
    <label class="field">
      <span class="field-name">Name of the fork</span>
      <input
        autofocus
        spellcheck="false"
        autocomplete="off"
        maxlength="512"
        value=${text}
        aria-describedby="fork-hint"
        onInput=${(event: Event) => setText(fieldText(event))}
      />
    </label>
    <p class=${isTaken || (name === undefined && text.trim() !== "") ? "hint bad" : "hint"} id="fork-hint" aria-live="polite">${hint}</p>
  <//>`;
}

/** Changes the title and labels. */
export function DescribeForm({ context, session, close }: SessionFormProps): View {
  const { link, fleet } = context;
  const [before] = useState(session);
  const [title, setTitle] = useState(session.title ?? "");
  const [labels, setLabels] = useState<readonly (readonly [string, string])[]>(() =>
    Object.entries(session.labels ?? {}),
  );
  const changes = descriptionChanges(before, { title, labels });
  const change = (at: number, label: readonly [string, string]): void =>
    setLabels(labels.map((one, index) => (index === at ? label : one)));
  const save = async (): Promise<void> => {
    await link.client.session(session.name).describe(changes);
    fleet.touch(session.name);
    close();
  };
  return html`<${ModalForm}
    title=${`Describe ${shownName(session.name)}`}
    confirm="Save"
    doing="Saving…"
    close=${close}
    blocked=${Object.keys(changes).length === 0 ? "" : undefined}
    submit=${save}
  >
    <label class="field">
      <span class="field-name">Title</span>
      <input autofocus maxlength="200" value=${title} onInput=${(event: Event) => setTitle(fieldText(event))} />
    </label>
    <fieldset class="labels">
      <legend>Labels</legend>
      ${labels.map(
        ([name, value], at) => html`<div class="label-row" key=${at}>
          <input
            aria-label=${`Name of label ${at + 1}`}
            placeholder="name"
            maxlength="63"
            spellcheck="false"
            value=${name}
            onInput=${(event: Event) => change(at, [fieldText(event), value])}
          />
          <input
            aria-label=${`Value of label ${at + 1}`}
            placeholder="value"
            maxlength="200"
            value=${value}
            onInput=${(event: Event) => change(at, [name, fieldText(event)])}
          />
          <button
            class="icon-button"
            type="button"
            aria-label=${`Remove label ${at + 1}`}
            onClick=${() => setLabels(labels.filter((_, index) => index !== at))}
          ><${Icon} name="close" /></button>
        </div>`,
      )}
      <button class="button small" type="button" onClick=${() => setLabels([...labels, ["", ""]])}>Add a label</button>
    </fieldset>
    <p class="hint">
      Names of labels have letters, digits and <code>_ - . /</code>. An empty title, and a label that you remove, become what the
      session's options say.
    </p>
  <//>`;
}
