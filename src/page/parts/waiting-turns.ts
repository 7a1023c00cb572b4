import { useEffect, useState } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import type { TurnSummary } from "../../wire/turn.ts";
import { html, type View } from "../html.ts";
import { agoText, plural } from "../store/format.ts";
import { notifyFailure, type PageContext } from "../store/page-context.ts";
import { plain } from "../store/shown-name.ts";

interface WaitingTurnsProps {
  readonly context: PageContext;
  readonly session: SessionInfo;
}

/** The turns that wait for the running one, the next first, each with a way to cancel it. */
export function WaitingTurns({ context, session }: WaitingTurnsProps): View {
  const { link, fleet } = context;
  const { name, status } = session;
  const count = status?.mailbox ?? 0;
  const [turns, setTurns] = useState<readonly TurnSummary[]>([]);
  useEffect(() => {
    if (count === 0) {
      setTurns([]);
      return;
    }
    const leaving = new AbortController();
    link.client
      .session(name)
      .turns({ state: ["queued"] }, { signal: leaving.signal })
      .then((page) => setTurns(page.turns.toReversed()))
      // The next change of the session reads them again.
      .catch(() => {});
    return () => leaving.abort();
  }, [session]);
  if (turns.length === 0) return null;
  const cancel = async (id: string): Promise<void> => {
    try {
      await link.client.session(name).interruptTurn(id);
    } catch (error) {
      notifyFailure(error);
    }
    fleet.touch(name);
  };
  return html`<details class="waiting" open>
    <summary>${plural(Math.max(count, turns.length), "turn")} waiting${turns.length < count && `; the last ${turns.length} of them`}</summary>
    <ol>
      ${turns.map(
        ({ id, prompt, by, acceptedAt }) => html`<li key=${id}>
          <span class="waiting-prompt">${plain(prompt.trim().split("\n")[0] ?? "") || "an image"}</span>
          <span class="quiet">${by !== undefined && `${plain(by)}, `}${agoText(acceptedAt, fleet.now.value)}</span>
          <button class="button small quiet" type="button" onClick=${() => void cancel(id)}>Cancel</button>
        </li>`,
      )}
    </ol>
  </details>`;
}
