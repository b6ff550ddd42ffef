// Shows the descriptions of the dialects in Swagger UI. The changes that this script makes to them
// make this page easier to use; /openapi.json is the contract.
"use strict";

const page = document.getElementById("page");
// Behind a proxy, this server may be below a path that only the browser knows.
const root = new URL("..", document.currentScript.src);

const intro =
  "Log in or register, choose **Authorize**, and paste the token of the response. It is valid in " +
  "every dialect. Requests from this page change real data on this server.";

// In the dialog the last field has the focus.
const schemes = {
  "Refresh token": {
    type: "http",
    scheme: "bearer",
    description: "A refresh token of fardel.",
  },
  "Token": {
    type: "http",
    scheme: "bearer",
    description: "The token of a registration or login; fardel's access token. " +
      "It is sent as `Authorization: Bearer <token>`; `Token <token>` is equivalent.",
  },
};

function schemeFor(requirement) {
  const name = Object.keys(requirement)[0] ?? "";
  return name.endsWith(".Refresh") ? "Refresh token" : name && "Token";
}

// Each dialect has its own security schemes, two for one token: nine fields to fill in. A token is
// valid in all dialects, so here it has one field.
function oneFieldForTokens(description) {
  const used = new Set();
  const operations = Object.values(description.paths).flatMap((path) => Object.values(path));
  for (const operation of operations.filter((each) => each.security)) {
    const names = [...new Set(operation.security.map(schemeFor))];
    operation.security = names.map((name) => (name ? { [name]: [] } : {}));
    names.filter(Boolean).forEach((name) => used.add(name));
  }
  const shown = Object.entries(schemes).filter(([name]) => used.has(name));
  description.components.securitySchemes = Object.fromEntries(shown);
}

function serversFromHere({ servers }) {
  const listed = servers ?? (root.pathname === "/" ? [] : [{ url: "/" }]);
  return listed.map((each) => ({ ...each, url: new URL(`.${each.url}`, root).pathname }));
}

function forThisPage(description) {
  const { info, tags = [] } = description;
  info.description = info.description ? `${intro}\n\n${info.description}` : intro;
  // The full text is shown when the dialect is chosen.
  tags.forEach((tag) => { tag.description = tag.description.replace(/\. .*/s, "."); });
  description.servers = serversFromHere(description);
  oneFieldForTokens(description);
  return description;
}

const names = page.dataset.dialects.split(" ");
const everything = { name: "all dialects", url: new URL("openapi.json", root).href };
const single = names.map((name) => ({ name, url: new URL(`${name}/openapi.json`, root).href }));
const urls = single.length > 1 ? [everything, ...single] : apart;

function prepare(response) {
  if (urls.some(({ url }) => url === response.url) && response.ok) {
    response.text = JSON.stringify(forThisPage(JSON.parse(response.text)));
  }
  return response;
}

const ours = ({ React }) => ({
  components: { Logo: () => React.createElement("span", null, "Latchkey") },
  // The token is kept when another dialect is chosen: it is valid there, too.
  statePlugins: { auth: { wrapActions: { restoreAuthorization: () => () => undefined } } },
});

SwaggerUIBundle({
  domNode: page,
  urls,
  responseInterceptor: prepare,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [ours],
  layout: "StandaloneLayout",
  validatorUrl: "none",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
});
