import { useState } from "preact/hooks";
import type { SessionInfo } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { isGlobalName } from "../store/name.ts";
import { confirmed, notify, notifyFailure, type PageContext } from "../store/page-context.ts";
import { shownName } from "../store/shown-name.ts";
import { type DialogName, SessionDialog } from "./session-dialog.ts";
import { type MenuItem, SessionMenu } from "./session-menu.ts";

interface SessionActionsProps {
  readonly context: PageContext;
  readonly session: SessionInfo;
}

/** All that can be done with a session, on its page. */
export function SessionActions({ context, session }: SessionActionsProps): View {
  const [form, setForm] = useState<DialogName | undefined>(undefined);
  const opens = (name: DialogName) => (): void => setForm(name);
  const operates = context.fleet.may("operate");
  const more = operates ? itemsFor(context, session, opens) : [];
  return html`<${SessionMenu} context=${context} session=${session} more=${more} />
    ${
      form !== undefined &&
      html`<${SessionDialog} key=${form} dialog=${form} context=${context} session=${session} close=${() => setForm(undefined)} />`
    }`;
}

function itemsFor(context: PageContext, session: SessionInfo, opens: (name: DialogName) => () => void): MenuItem[] {
  const exported: MenuItem = { label: "Export…", run: opens("export") };
  const erased: MenuItem = { label: "Erase all data…", run: opens("erase"), danger: true };
  // Of a session that has ended, only the data is left.
  if (session.status === undefined) return [exported, erased];
  const isArchived = session.state === "archived";
  return [
    ...(isGlobalName(session.name) ? [] : [{ label: "Fork…", run: opens("fork") }]),
    { label: "Edit title and labels…", run: opens("describe") },
    { label: isArchived ? "Unarchive" : "Archive", run: () => void archive(context, session, !isArchived) },
    exported,
    { label: "Clear conversation…", run: () => void clear(context, session), danger: true },
    { label: "Delete…", run: opens("delete"), danger: true },
    erased,
  ];
}

async function archive({ link, fleet }: PageContext, { name }: SessionInfo, archived: boolean): Promise<void> {
  await reporting(`${shownName(name)} is ${archived ? "archived" : "no longer archived"}.`, async () => {
    await link.client.session(name).describe({ archived });
    fleet.touch(name);
  });
}

async function clear({ link, fleet }: PageContext, { name, status }: SessionInfo): Promise<void> {
  const cut = status?.turn === undefined ? "" : " The running turn is cut.";
  const text = `Claude forgets everything said so far, and begins anew in another process.${cut} Waiting turns run in the empty conversation. The record stays.`;
  if (!(await confirmed({ title: `Clear the conversation of ${shownName(name)}?`, text, confirm: "Clear" }))) return;
  await reporting(`${shownName(name)} has an empty conversation.`, async () => {
    await link.client.session(name).clear();
    fleet.touch(name);
  });
}

/** Carries out a request and reports how it went. */
async function reporting(done: string, request: () => Promise<void>): Promise<void> {
  try {
    await request();
    notify(done);
  } catch (error) {
    notifyFailure(error);
  }
}
