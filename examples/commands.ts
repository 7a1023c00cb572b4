import { CastellanError, command, query, session } from "castellan";

// #region text
/** What a user types, such as `Summarise @/etc/passwd` or `/model opus`, is sent to the model as it is. */
export async function ask(user: string, typed: string): Promise<string> {
  const { text } = await query(["support", user], typed);
  return text;
}
// #endregion

// #region buttons
/** What the buttons below the chat do, whose names a page may send. */
export async function press(button: string, user: string): Promise<string> {
  const chat = session(["support", user]);
  if (button === "shorten") return (await chat.compact("Keep names and numbers.")).text;
  if (button === "hand over") return (await chat.query(command("hand-over"))).text;
  await chat.clear();
  return "Let us begin again.";
}
// #endregion

// #region skill
/** Has a skill of the project answer, which is called with what a user has typed. */
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
/** The application's own prompt, in which Claude Code is to read in a file. */
export async function report(): Promise<string> {
  const { text } = await query("reports", "Summarise @figures/today.csv", { verbatimPrompts: false });
  return text;
}
// #endregion
