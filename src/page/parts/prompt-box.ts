import { type Signal, signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { keepDraft, keptDraft } from "../store/drafts.ts";
import { type EnterKey, isSending, savedEnterKey, saveEnterKey } from "../store/enter-key.ts";
import { fieldText } from "../store/field-text.ts";
import { plural } from "../store/format.ts";
import { keyOf, type Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { Delivery, promptNote } from "../store/prompt-delivery.ts";
import { type Draft, edited, IMAGE_LIMITS, IMAGE_TYPES, isEmpty, withAdded, withFiles } from "../store/prompt-draft.ts";
import { messageOf } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";
import { PromptImages, readFiles } from "./prompt-images.ts";
import { WaitingTurns } from "./waiting-turns.ts";

/** What Enter does. A soft keyboard has no Shift+Enter, so there it breaks the line by default. */
const enterKey: Signal<EnterKey> = signal<EnterKey>(
  savedEnterKey(matchMedia("(pointer: coarse)").matches ? "breaks" : "sends"),
);

interface PromptBoxProps {
  readonly context: PageContext;
  readonly name: Name;
  /** Undefined if there is no such session any more. */
  readonly session: SessionInfo | undefined;
}

/** Gives the session prompts, and messages to its running turn. What is refused stays in the box, with the reason. */
export function PromptBox(props: PromptBoxProps): View {
  if (!props.context.fleet.may("talk")) return null;
  return html`<${Box} ...${props} />`;
}

function Box({ context, name, session }: PromptBoxProps): View {
  const { fleet, link, base } = context;
  const id = `${base} ${keyOf(name)}`;
  const box = useRef<HTMLTextAreaElement>(null);
  const draft = useSignal(useRef(keptDraft(id)).current.draft);
  const problem = useSignal(lostNote(useRef(keptDraft(id).lost).current));
  const sending = useSignal(false);
  const steers = useSignal(false);
  const turn = session?.status?.turn?.id;
  const change = (next: Draft): void => {
    draft.value = next;
    problem.value = undefined;
    keepDraft(id, next);
  };
  const add = async (files: readonly File[]): Promise<void> => {
    const { read, problems } = await readFiles(files);
    const added = withFiles(draft.peek(), read);
    change(added.draft);
    const all = [...problems, ...added.problems];
    if (all.length > 0) problem.value = all.join(" ");
  };
  useFilesOfThePage(add);
  useGrowth(box, draft);
  const isSteer = steers.value && turn !== undefined && draft.value.images.length === 0;
  const send = async (): Promise<void> => {
    if (sending.peek() || isEmpty(draft.peek())) return;
    sending.value = true;
    const delivery = new Delivery(link.client.session(name), (tried) => keepDraft(id, tried));
    const sent = draft.peek();
    const outcome = await delivery.send(sent, isSteer ? turn : undefined);
    sending.value = false;
    change(withAdded(outcome.draft, sent, draft.peek()));
    problem.value = outcome.problem;
    fleet.touch(name);
    box.current?.focus();
  };
  const touch = (): void => {
    // A hint: what prevents it is told with the prompt.
    if (session?.state === "hibernated")
      void link.client
        .session(name)
        .touch()
        .catch(() => {});
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void send();
  };
  const seen = useRef(false);
  seen.current ||= session !== undefined;
  const note = seen.current ? promptNote(session) : undefined;
  const isBlocked = session?.state === "quarantined" || session?.state === "stopped";
  return html`<form ref=${usePromptHeight()} class="prompt" onSubmit=${submit}>
    ${session !== undefined && html`<${WaitingTurns} context=${context} session=${session} />`}
    ${note !== undefined && html`<p class="prompt-note">${note}</p>`}
    <p class="prompt-problem" role="alert">${problem.value}</p>
    <div class="prompt-box">
      <${PromptImages} draft=${draft.value} change=${change} />
      <${PromptText} box=${box} draft=${draft.value} change=${change} send=${send} add=${add} focused=${touch} readonly=${sending.value} wakes=${session?.state === "hibernated"} />
      <div class="prompt-tools">
        <${FileButton} add=${add} />
        ${turn !== undefined && html`<${Ways} steers=${steers} canSteer=${draft.value.images.length === 0} />`}
        <${EnterHint} />
        ${turn !== undefined && html`<${Interrupt} context=${context} name=${name} turn=${turn} problem=${problem} />`}
        <button class="button primary" type="submit" disabled=${sending.value || isBlocked || isEmpty(draft.value)}>
          <${Icon} name="send" />${sending.value ? "Sending…" : isSteer ? "Steer" : turn === undefined ? "Send" : "Queue"}
        </button>
      </div>
    </div>
  </form>`;
}

function lostNote(lost: number): string | undefined {
  if (lost === 0) return undefined;
  return `${plural(lost, "image")} of this draft had no room in the browser's storage. Add ${lost === 1 ? "it" : "them"} again.`;
}

/** Files that are dropped anywhere on the page would otherwise replace it. */
function useFilesOfThePage(add: (files: readonly File[]) => Promise<void>): void {
  const latest = useRef(add);
  latest.current = add;
  useEffect(() => {
    const root = document.documentElement;
    const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes("Files") === true;
    const over = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      root.classList.add("dropping");
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) root.classList.remove("dropping");
    };
    const drop = (event: DragEvent): void => {
      root.classList.remove("dropping");
      if (!hasFiles(event)) return;
      event.preventDefault();
      void latest.current([...(event.dataTransfer?.files ?? [])]);
    };
    document.addEventListener("dragover", over);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      root.classList.remove("dropping");
      document.removeEventListener("dragover", over);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  }, []);
}

/** Tells the style sheet how high the prompt is. What floats above it needs that. Returns the reference of its element. */
function usePromptHeight(): { readonly current: HTMLFormElement | null } {
  const form = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => {
    if (form.current === null) return undefined;
    const { style } = document.documentElement;
    const watcher = new ResizeObserver(([entry]) => {
      style.setProperty("--prompt-height", `${entry?.borderBoxSize[0]?.blockSize ?? 0}px`);
    });
    watcher.observe(form.current);
    return () => {
      watcher.disconnect();
      style.removeProperty("--prompt-height");
    };
  }, []);
  return form;
}

/** Lets the box grow with its text where the style sheet cannot. */
function useGrowth(box: { readonly current: HTMLTextAreaElement | null }, draft: Signal<Draft>): void {
  const { text } = draft.value;
  useLayoutEffect(() => {
    if (box.current === null || CSS.supports("field-sizing", "content")) return;
    box.current.style.height = "auto";
    box.current.style.height = `${box.current.scrollHeight + 2}px`;
  }, [text]);
}

interface PromptTextProps {
  readonly box: { readonly current: HTMLTextAreaElement | null };
  readonly draft: Draft;
  readonly change: (draft: Draft) => void;
  readonly send: () => Promise<void>;
  readonly add: (files: readonly File[]) => Promise<void>;
  readonly focused: () => void;
  readonly readonly: boolean;
  readonly wakes: boolean;
}

function PromptText({ box, draft, change, send, add, focused, readonly, wakes }: PromptTextProps): View {
  const onKey = (event: KeyboardEvent): void => {
    if (!isSending(enterKey.peek(), event)) return;
    event.preventDefault();
    void send();
  };
  const onPaste = (event: ClipboardEvent): void => {
    const files = [...(event.clipboardData?.files ?? [])];
    // A table that is pasted is also an image; its text is meant.
    if (files.length === 0 || event.clipboardData?.types.includes("text/plain") === true) return;
    event.preventDefault();
    void add(files);
  };
  return html`<textarea
    ref=${box}
    rows="2"
    aria-label="Prompt"
    aria-describedby="prompt-hint"
    placeholder=${wakes ? "Message this session, which wakes for it" : "Message this session"}
    readonly=${readonly}
    value=${draft.text}
    onInput=${(event: Event) => change(edited(draft, { text: fieldText(event) }))}
    onKeyDown=${onKey}
    onPaste=${onPaste}
    onFocus=${focused}
  ></textarea>`;
}

function FileButton({ add }: { readonly add: (files: readonly File[]) => Promise<void> }): View {
  const input = useRef<HTMLInputElement>(null);
  const chosen = (): void => {
    const files = [...(input.current?.files ?? [])];
    // The same file can be chosen again.
    if (input.current !== null) input.current.value = "";
    void add(files);
  };
  const label = `Add images: ${IMAGE_LIMITS}. They can also be pasted and dropped.`;
  return html`<input ref=${input} type="file" accept=${IMAGE_TYPES} multiple hidden aria-label="Images" onChange=${chosen} />
    <button class="icon-button" type="button" title=${label} aria-label=${label} onClick=${() => input.current?.click()}>
      <${Icon} name="image" />
    </button>`;
}

/** Whether the message is the next turn, or goes into the running one. */
function Ways({ steers, canSteer }: { readonly steers: Signal<boolean>; readonly canSteer: boolean }): View {
  const way = (isSteer: boolean, text: string, title: string, disabled: boolean): View => html`<label title=${title}>
    <input
      type="radio"
      name="way"
      checked=${steers.value === isSteer && !disabled}
      disabled=${disabled}
      onChange=${() => {
        steers.value = isSteer;
      }}
    /><span>${text}</span>
  </label>`;
  const steerTitle = canSteer ? "Claude reads the message during the running turn" : "A running turn takes no images";
  return html`<fieldset class="ways">
    <legend class="unseen">When Claude gets the message</legend>
    ${way(false, "Queue", "The message is a turn of its own, after the running one", false)}
    ${way(true, "Steer", steerTitle, !canSteer)}
  </fieldset>`;
}

interface InterruptProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly turn: string;
  readonly problem: Signal<string | undefined>;
}

function Interrupt({ context: { link, fleet }, name, turn, problem }: InterruptProps): View {
  const stopping = useSignal(false);
  const interrupt = async (): Promise<void> => {
    stopping.value = true;
    try {
      // This turn only: the next one may have begun by now.
      await link.client.session(name).interruptTurn(turn);
    } catch (error) {
      problem.value = messageOf(error);
    }
    stopping.value = false;
    fleet.touch(name);
  };
  return html`<button
    class="button"
    type="button"
    aria-label="Interrupt"
    title="The running turn ends without its answer. Waiting turns go on."
    disabled=${stopping.value}
    onClick=${() => void interrupt()}
  >
    <${Icon} name="stop" /><span class="word">${stopping.value ? "Stopping…" : "Interrupt"}</span>
  </button>`;
}

const HINTS: Readonly<Record<EnterKey, string>> = {
  sends: "Enter sends, Shift+Enter breaks the line",
  breaks: "Enter breaks the line, Ctrl+Enter sends",
};

function EnterHint(): View {
  const key = enterKey.value;
  const other = key === "sends" ? "breaks" : "sends";
  const swap = (): void => {
    enterKey.value = other;
    saveEnterKey(other);
  };
  return html`<button class="prompt-hint" id="prompt-hint" type="button" title=${`Change: ${HINTS[other]}`} onClick=${swap}>${HINTS[key]}</button>`;
}
