import { useRef, useState } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { ACTION_NAMES, ACTIONS, type Action } from "../store/actions.ts";
import { carryOut } from "../store/carry-out.ts";
import type { PageContext } from "../store/page-context.ts";
import { shownName } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";

/** Returns the actions that the user may carry out and that apply to one of the sessions. */
export function possibleActions({ fleet }: PageContext, sessions: readonly SessionInfo[]): Action[] {
  return ACTION_NAMES.filter((action) => {
    const { scope, applies } = ACTIONS[action];
    return fleet.may(scope) && sessions.some(applies);
  });
}

/** A further item of a menu. */
export interface MenuItem {
  readonly label: string;
  readonly run: () => void;
  readonly danger?: boolean;
}

interface SessionMenuProps {
  readonly context: PageContext;
  readonly session: SessionInfo;
  /** What stands below the actions. Default: nothing. */
  readonly more?: readonly MenuItem[];
}

/** A button that opens the actions of a session. */
export function SessionMenu({ context, session, more = [] }: SessionMenuProps): View {
  const dialog = useRef<HTMLDialogElement>(null);
  // A closed menu costs a row nothing.
  const [open, setOpen] = useState(false);
  const name = shownName(session.name);
  const actions = possibleActions(context, [session]);
  if (actions.length + more.length === 0) return html`<span class="no-menu"></span>`;
  const choose = (action: Action) => (): void => {
    dialog.current?.close();
    void carryOut(context, action, [session]);
  };
  const chooseMore = (item: MenuItem) => (): void => {
    dialog.current?.close();
    item.run();
  };
  const show = (): void => {
    setOpen(true);
    requestAnimationFrame(() => dialog.current?.showModal());
  };
  const outside = (event: MouseEvent): void => {
    if (event.target === dialog.current) dialog.current?.close();
  };
  return html`<button class="icon-button" type="button" aria-haspopup="dialog" aria-label=${`Actions for ${name}`} onClick=${show}>
      <${Icon} name="more" />
    </button>
    ${
      open &&
      html`<dialog ref=${dialog} class="dialog menu" aria-label=${`Actions for ${name}`} onClose=${() => setOpen(false)} onClick=${outside}>
        <h2>${name}</h2>
        ${actions.map(
          (action) => html`<button
            key=${action}
            type="button"
            class=${action === "stop" ? "menu-item danger" : "menu-item"}
            onClick=${choose(action)}
          >
            ${ACTIONS[action].label}
          </button>`,
        )}
        ${actions.length > 0 && more.length > 0 && html`<hr />`}
        ${more.map(
          (item) => html`<button
            key=${item.label}
            type="button"
            class=${item.danger === true ? "menu-item danger" : "menu-item"}
            onClick=${chooseMore(item)}
          >
            ${item.label}
          </button>`,
        )}
      </dialog>`
    }`;
}
