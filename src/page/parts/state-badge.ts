import type { FoundState } from "../../wire/session.ts";
import { html, type View } from "../html.ts";

/** A session's state, with its colour. */
export function StateBadge({ state }: { readonly state: FoundState }): View {
  return html`<span class=${`state is-${state}`}><i></i>${state}</span>`;
}
