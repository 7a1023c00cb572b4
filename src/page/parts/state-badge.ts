import { html, type View } from "../html.ts";

/** The state of a session or of another child, with its colour. */
export function StateBadge({ state }: { readonly state: string }): View {
  return html`<span class=${`state is-${state}`}><i></i>${state}</span>`;
}
