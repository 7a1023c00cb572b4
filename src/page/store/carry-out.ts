import type { SessionInfo } from "../../wire/session.ts";
import { ACTIONS, type Action, act, actOnAll } from "./actions.ts";
import { plural } from "./format.ts";
import { confirmed, notify, type PageContext } from "./page-context.ts";
import { plain, shownName } from "./shown-name.ts";

/** Carries out an action on the sessions that it applies to, after a question if something is lost, and reports how it went. */
export async function carryOut(
  { link, fleet }: PageContext,
  action: Action,
  given: readonly SessionInfo[],
): Promise<void> {
  const { label, done, loses, applies } = ACTIONS[action];
  const sessions = given.filter(applies);
  const [first] = sessions;
  if (first === undefined) return;
  const whom = sessions.length === 1 ? shownName(first.name) : plural(sessions.length, "session");
  const lost = loses(sessions.filter(({ status }) => status?.turn !== undefined).length);
  const isSure = lost === undefined || (await confirmed({ title: `${label} ${whom}?`, text: lost, confirm: label }));
  if (!isSure) return;
  const report = await actOnAll(sessions, async (session) => {
    await act(link.client, action, session);
    fleet.touch(session.name);
  });
  const [failure] = report.failed;
  if (report.done > 0)
    notify(
      report.done === 1 && sessions.length === 1 ? `${whom} is ${done}.` : `${plural(report.done, "session")} ${done}.`,
    );
  if (failure === undefined) return;
  const others = report.failed.length > 1 ? ` ${plural(report.failed.length - 1, "more session")} failed.` : "";
  notify(`${shownName(failure.session.name)}: ${plain(failure.message)}${others}`, { failed: true });
}
