import { CastellanError, command, query, session } from "castellan";

// #region text
/** Sends the model what a user typed, unchanged, such as `Summarise @/etc/passwd` or `/model opus`. */
export async function ask(user: string, typed: string): Promise<string> {
  const { text } = await query(["support", user], typed);
  return text;
}
// #endregion

// #region buttons
/** Runs the button that a page names. */
export async function press(button: string, user: string): Promise<string> {
  const chat = session(["support", user]);
  if (button === "shorten") return (await chat.compact("Keep names and numbers.")).text;
  if (button === "hand over") return (await chat.query(command("hand-over"))).text;
  await chat.clear();
  return "Let us begin again.";
}
// #endregion

// #region skill
/** Calls a skill of the project with what a user typed. */
export async function translate(user: string, typed: string): Promise<string> {
  try {
    return (await query(["support", user], command("translate", typed))).text;
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return "Please leave out words that begin with @.";
    throw error;
  }
}
// #endregion

// #region trusted
/** Sends a prompt written by the application; Claude Code reads in the file that it names. */
export async function report(): Promise<string> {
  const { text } = await query("reports", "Summarise @figures/today.csv", { verbatimPrompts: false });
  return text;
}
// #endregion
