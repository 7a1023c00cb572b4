import { html, type View } from "../html.ts";
import type { PageContext } from "../store/page-context.ts";

export function ClusterPage(_: { readonly context: PageContext }): View {
  return html`<h1 tabindex="-1">Cluster</h1>`;
}
