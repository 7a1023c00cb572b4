/** How people get in: by a token that they type, or by the application or nothing at all. */
export type LoginWay = "token" | "application" | "none";

/**
 * Returns the document of every address of the page, with the bar that people see until the script runs. It has no data of sessions.
 *
 * @param basePath characters of a path only, so that it needs no escapes
 */
export function pageDocument(basePath: string, login: LoginWay): string {
  return `<!doctype html>
<html lang="en" data-base="${basePath}" data-login="${login}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Castellan</title>
<link rel="icon" href="${basePath}/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${basePath}/assets/page.css">
<script type="module" src="${basePath}/assets/page.js"></script>
</head>
<body>
<header class="bar"><span class="brand"><img src="${basePath}/assets/icon.svg" alt="" width="28" height="28"><span>Castellan</span></span></header>
<noscript>This page needs JavaScript.</noscript>
</body>
</html>
`;
}
