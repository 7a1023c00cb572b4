import { html, type View } from "../html.ts";
import type { PageContext } from "../store/page-context.ts";

export function CostsPage(_: { readonly context: PageContext }): View {
  return html`<h1 tabindex="-1">Costs</h1>`;
}
