import { useRef, useState } from "preact/hooks";
import { html, type View } from "../html.ts";
import type { PageContext } from "../store/page-context.ts";

/** Asks who it is. */
export function LoginPage({ context }: { readonly context: PageContext }): View {
  const field = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    setBusy(true);
    setProblem(token === "" ? "Paste a token." : await loginProblem(context.base, token));
    setBusy(false);
    field.current?.select();
    field.current?.focus();
  };
  const loginWithToken = html`<form onSubmit=${submit}>
    <label for="token">Token</label>
    <input
      ref=${field}
      id="token"
      type="password"
      autocomplete="current-password"
      spellcheck="false"
      autofocus
      placeholder="castellan_…"
      aria-describedby="token-help token-problem"
      aria-invalid=${problem !== undefined ? "true" : undefined}
    />
    <p id="token-help" class="hint"><code>castellan token create --scope read talk approve operate</code> makes one.</p>
    <p id="token-problem" class="problem" role="alert">${problem}</p>
    <button class="button primary" type="submit" disabled=${busy}>${busy ? "Logging in…" : "Log in"}</button>
  </form>`;
  return html`<main class="login" id="content">
    <div class="login-card">
      <img src=${`${context.base}/assets/icon.svg`} alt="" width="48" height="48" />
      <h1 tabindex="-1">Castellan</h1>
      ${
        context.login === "token"
          ? loginWithToken
          : html`<p>The application does not know who you are. Sign in there, then load this page again.</p>
              <button class="button primary" type="button" onClick=${() => location.reload()}>Load again</button>`
      }
    </div>
  </main>`;
}

/** Logs in, and loads the page again. Returns why it failed. */
async function loginProblem(base: string, token: string): Promise<string | undefined> {
  try {
    const { ok, status } = await fetch(`${base}/login`, { method: "POST", body: token });
    if (ok) location.reload();
    else return status === 401 ? "The server does not accept this token." : `The server answered with ${status}.`;
  } catch {
    return "The server does not answer.";
  }
  return undefined;
}
