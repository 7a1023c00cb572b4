import { html, type View } from "../html.ts";
import type { ServerLink } from "../store/server-link.ts";
import { EmptyState } from "./empty-state.ts";

interface NotReadProps {
  readonly link: ServerLink;
  /** In the plural: `sessions`. */
  readonly what: string;
  /** The lines that stand in for what is being read. */
  readonly rows: number;
}

/** What a page shows until the server has answered. */
export function NotRead({ link, what, rows }: NotReadProps): View {
  if (link.state.value === "lost") {
    return html`<${EmptyState} icon="cloud" title="The server does not answer" text=${`The page shows the ${what} as soon as it does.`} />`;
  }
  return html`<div class="list skeleton" role="status" aria-busy="true" aria-label=${`The ${what} are being read`}>
    ${Array.from({ length: rows }, (_, index) => html`<div class="row" key=${index}><span></span><span></span></div>`)}
  </div>`;
}
