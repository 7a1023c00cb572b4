import type { ComponentChildren } from "preact";
import { html, type View } from "../html.ts";
import { Icon, type IconName } from "./icon.ts";

interface EmptyStateProps {
  readonly icon: IconName;
  readonly title: string;
  readonly text?: string;
  readonly children?: ComponentChildren;
}

/** What a page says when it has nothing to show. */
export function EmptyState({ icon, title, text, children }: EmptyStateProps): View {
  return html`<div class="empty">
    <span class="empty-icon"><${Icon} name=${icon} /></span>
    <p class="empty-title">${title}</p>
    ${text !== undefined && html`<p>${text}</p>`}
    ${children}
  </div>`;
}
