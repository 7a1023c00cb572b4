import { useEffect, useMemo, useRef } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import type { Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { SessionDetails } from "../store/session-details.ts";
import { shownName } from "../store/shown-name.ts";
import { DetailsExits } from "./details-exits.ts";
import { DetailsFacts } from "./details-facts.ts";
import { DetailsOptions } from "./details-options.ts";
import { DetailsSchedules } from "./details-schedules.ts";
import { DetailsServers } from "./details-servers.ts";
import { DetailsSpending } from "./details-spending.ts";
import { Icon } from "./icon.ts";

/** How often what changes without an event is read, in milliseconds. */
const INSPECT_MS = 3_000;

export interface DetailsPanelProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly session: SessionInfo | undefined;
  /** Whether it stands beside the record, or above it as a sheet. */
  readonly beside: boolean;
  readonly close: () => void;
}

/** What is known of a session besides its record. */
export function DetailsPanel({ context, name, session, beside, close }: DetailsPanelProps): View {
  const { link } = context;
  const details = useMemo(() => new SessionDetails(link, name), []);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible" && link.state.peek() !== "lost") void details.inspectAgain();
    }, INSPECT_MS);
    return () => {
      clearInterval(timer);
      details.stop();
    };
  }, []);
  const turn = session?.status?.turn?.id;
  useEffect(() => void details.read(), [turn, session?.state, session?.status?.starts]);
  const title = `Details of ${shownName(name)}`;
  const props = { context, name, session, details };
  const content = html`<header class="details-head">
      <h2>Details</h2>
      <button class="icon-button" type="button" aria-label="Close the details" onClick=${close}><${Icon} name="close" /></button>
    </header>
    <div class="details-body" tabindex="0" role="group" aria-label="Sections">
      <${DetailsFacts} ...${props} />
      <${DetailsSpending} ...${props} />
      <${DetailsServers} ...${props} />
      <${DetailsSchedules} ...${props} />
      <${DetailsExits} ...${props} />
      <${DetailsOptions} ...${props} />
    </div>`;
  if (!beside) return html`<${Sheet} title=${title} close=${close}>${content}<//>`;
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape") close();
  };
  return html`<aside class="details" aria-label=${title} onKeyDown=${onKey}>${content}</aside>`;
}

interface SheetProps {
  readonly title: string;
  readonly close: () => void;
  readonly children?: View;
}

function Sheet({ title, close, children }: SheetProps): View {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const outside = (event: MouseEvent): void => {
    if (event.target === dialog.current) close();
  };
  return html`<dialog ref=${dialog} class="details sheet" aria-label=${title} onClose=${close} onClick=${outside}>${children}</dialog>`;
}
