import type { ComponentChildren } from "preact";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import type { Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import type { Read, SessionDetails } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";

/** What every section of the panel gets. */
export interface SectionProps {
  readonly context: PageContext;
  readonly name: Name;
  /** Undefined if there is no such session any more. */
  readonly session: SessionInfo | undefined;
  readonly details: SessionDetails;
}

interface FrameProps {
  readonly title: string;
  /** What stands at the right of the title. */
  readonly action?: View;
  readonly children?: ComponentChildren;
}

/** A section of the details panel. */
export function Section({ title, action, children }: FrameProps): View {
  return html`<section class="details-section">
    <h3><span>${title}</span>${action}</h3>
    ${children}
  </section>`;
}

/** Why a section has nothing to show. */
export function notRead<Value>(read: Read<Value>): View {
  if (read === "reading") return html`<p class="quiet">Being read…</p>`;
  if (read === "refused") return html`<p class="quiet">Your access does not show this.</p>`;
  if (read === "gone") return html`<p class="quiet">Nothing is known: the session has ended.</p>`;
  const failure = typeof read === "object" && read !== null && "failure" in read ? String(read.failure) : "";
  return html`<p class="bad">It cannot be read: ${plain(failure)}</p>`;
}
