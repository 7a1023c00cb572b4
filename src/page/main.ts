import { render } from "preact";
import { html } from "./html.ts";
import { Shell } from "./shell.ts";
import { Fleet } from "./store/fleet.ts";
import { Navigation } from "./store/navigation.ts";
import type { LoginWay, PageContext } from "./store/page-context.ts";
import { ServerLink } from "./store/server-link.ts";
import { applyTheme, savedTheme } from "./store/theme.ts";

/* What the document starts. */

const { base = "", login = "none" } = document.documentElement.dataset;
applyTheme(savedTheme());
const link = new ServerLink(base);
const context: PageContext = {
  base,
  login: login as LoginWay,
  link,
  fleet: new Fleet(link),
  navigation: new Navigation(base),
};
context.fleet.start();
document.body.replaceChildren();
render(html`<${Shell} context=${context} />`, document.body);
