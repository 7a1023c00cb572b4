import {
  type EventLogger,
  type FollowOptions,
  follow,
  formatInspection,
  type Session,
  type Supervisor,
  session,
} from "castellan";

// #region status
export function oneLine(name: string): string {
  const { state, pid, mailbox, restarts, waitingFor, lastExit } = session(name).status();
  const waits = waitingFor === undefined ? "" : `, waits for ${waitingFor.for}`;
  const exit = lastExit === undefined ? "" : `, last exit ${lastExit.class}: ${lastExit.message}`;
  return `${state} (pid ${pid ?? "none"}), ${mailbox} turns wait, ${restarts} restarts${waits}${exit}`;
}
// #endregion

// #region inspect
export function report(supervisor: Supervisor): string {
  return formatInspection(supervisor.inspect(), { options: true });
}
// #endregion

// #region follow
export async function watched<Result>(
  name: string,
  work: () => Promise<Result>,
  logger?: EventLogger,
): Promise<Result> {
  const options: FollowOptions = logger === undefined ? {} : { logger };
  const stop = follow(name, options);
  try {
    return await work();
  } finally {
    stop();
  }
}
// #endregion

// #region events
export async function untilQuarantined(watched: Session): Promise<string[]> {
  const states: string[] = [];
  for await (const event of watched.events()) {
    if (event.type !== "state") continue;
    states.push(event.state);
    if (event.state === "quarantined") break;
  }
  return states;
}
// #endregion

// #region transcript
export async function said(name: string): Promise<{ role: string; uuid: string }[]> {
  const messages = await session(name).transcript({ limit: 20 });
  return messages.map(({ type, uuid }) => ({ role: type, uuid }));
}
// #endregion
