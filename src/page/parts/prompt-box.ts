import { useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { Name } from "../store/name.ts";
import { notify, type PageContext } from "../store/page-context.ts";
import { plain } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";

interface PromptBoxProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly busy: boolean;
}

/** Gives the session a prompt. A prompt that is refused stays in the box. */
export function PromptBox({ context: { fleet, link }, name, busy }: PromptBoxProps): View {
  const box = useRef<HTMLTextAreaElement>(null);
  const [sending, setSending] = useState(false);
  if (fleet.server.value?.caller.scopes.includes("talk") !== true) return null;
  const send = async (): Promise<void> => {
    const prompt = box.current?.value ?? "";
    if (prompt.trim() === "" || sending) return;
    setSending(true);
    try {
      await link.client.session(name).enqueue(prompt);
      if (box.current?.value === prompt) box.current.value = "";
    } catch (error) {
      notify(`The prompt was not accepted: ${plain(error instanceof Error ? error.message : String(error))}`, {
        failed: true,
      });
    }
    setSending(false);
    box.current?.focus();
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void send();
  };
  const onKey = (event: KeyboardEvent): void => {
    // An input method takes the key to choose a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void send();
  };
  return html`<form class="prompt" onSubmit=${submit}>
    <textarea ref=${box} rows="2" aria-label="Prompt" placeholder="Message this session" onKeyDown=${onKey}></textarea>
    <button class="button primary" type="submit" disabled=${sending}><${Icon} name="send" />${busy ? "Queue" : "Send"}</button>
  </form>`;
}
