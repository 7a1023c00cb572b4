// #region instrumentation
// instrumentation.ts
export async function register(): Promise<void> {
  if (process.env["NEXT_RUNTIME"] !== "nodejs") return;
  const { startAssistants } = await import("../assistants.ts");
  const supervisor = await startAssistants();
  supervisor.stopOnSignals();
}
// #endregion
