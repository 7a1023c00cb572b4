import { type Schedule, session } from "castellan";

// #region once
export async function remind(userId: number, what: string, at: Date): Promise<string> {
  return await session(["support", userId]).enqueue(`Remind me: ${what}`, { runAt: at });
}
// #endregion

// #region every
export async function report(): Promise<string> {
  return await session("news").enqueue("What has happened since yesterday?", {
    every: "0 9 * * 1-5", // at nine on weekdays; or a duration, such as "6h"
    timezone: "Europe/Berlin",
    idempotencyKey: "daily report", // called at every start, this makes one schedule
  });
}
// #endregion

// #region manage
export async function cancelAll(name: string): Promise<readonly Schedule[]> {
  const schedules = await session(name).schedules();
  for (const { id } of schedules) await session(name).cancelSchedule(id);
  return schedules;
}
// #endregion
