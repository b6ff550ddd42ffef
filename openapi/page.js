// Shows the descriptions of the dialects in Swagger UI. The changes that this script makes to them
// make this page easier to use; /openapi.json is the contract.
"use strict";

const page = document.getElementById("page");
// Behind a proxy, this server may be below a path that only the browser knows.
const root = new URL("..", document.currentScript.src);

const intro =
  "After a login or a registration on this page, **Authorize** has the token of the response; a " +
  "logout removes it. The token is valid in every dialect. Requests from this page change real " +
  "data on this server.";

const mountedHere =
  "The paths are those where DIALECTS mounts each dialect. With the server `/:dialect` the same " +
  "requests are sent to the paths under each dialect's name.";

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
    description: "The token of a registration or login, without the word before it. It is sent " +
      "as the chosen endpoint requires: `Authorization: Token <token>` or `Bearer <token>`.",
  },
};
// The names in x-latchkey-token.
const fields = { token: "Token", refresh: "Refresh token" };

// Each dialect has its own security schemes, two for one token: many fields to fill in. A token is
// valid in all dialects, so here it has one field, and each operation has the words to send it by.
function oneFieldForTokens({ paths, components }) {
  const definitions = components.securitySchemes ?? {};
  const used = new Set();
  const schemeFor = (name) => (name.endsWith(".Refresh") ? "Refresh token" : "Token");
  for (const operation of operationsOf(paths)) {
    const found = Object.entries(operation["x-latchkey-token"] ?? {}).filter(([, value]) => value);
    found.forEach(([key]) => fields[key] && used.add(fields[key]));
    const names = (operation.security ?? []).map((each) => Object.keys(each)[0] ?? "");
    const tokens = names.filter((name) => name && definitions[name].scheme !== "basic");
    const optional = tokens.length < names.length;
    const shown = [...new Set(tokens.map(schemeFor))];
    shown.forEach((name) => used.add(name));
    operation.security = [...shown.map((name) => ({ [name]: [] })), ...(optional ? [{}] : [])];
    operation["x-words"] = tokens.map((name) => ({
      word: definitions[name].type === "apiKey" ? "Token" : "Bearer",
      jwt: definitions[name].bearerFormat === "JWT",
    }));
  }
  const listed = Object.entries(schemes).filter(([name]) => used.has(name));
  components.securitySchemes = Object.fromEntries(listed);
}

function operationsOf(paths) {
  const operations = Object.values(paths).flatMap((item) => Object.values(item));
  return operations.filter((each) => each.operationId);
}

// Sends the token with the word that the operation requires.
function withWord(request) {
  const { spec, pathName, method, securities } = request;
  const given = securities?.authorized?.Token;
  const words = spec.paths[pathName][method]["x-words"] ?? [];
  if (!given || !words.length) return request;
  const isJwt = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(given.value);
  const { word } = words.find(({ jwt }) => jwt === isJwt) ?? words[0];
  spec.components.securitySchemes.Token = { type: "apiKey", in: "header", name: "Authorization" };
  given.value = `${word} ${given.value}`;
  return request;
}

// Takes over the token of a response, or forgets the one that has ended.
function learn({ authActions }, operation, response) {
  const { unless, ...rule } = operation["x-latchkey-token"] ?? {};
  if (!response.ok || (unless && new RegExp(unless).test(response.url))) return;
  for (const [key, pointers] of Object.entries(rule)) {
    const name = fields[key];
    if (!pointers) authActions.logout([name]);
    const found = pointers?.map((pointer) => valueAt(response.body, pointer)).find(Boolean);
    if (found) authActions.authorize({ [name]: { name, schema: schemes[name], value: found } });
  }
}

// RFC 6901, for names without ~ and /.
function valueAt(data, pointer) {
  return pointer.split("/").slice(1).reduce((value, name) => value?.[name], data);
}

// A form has the values of the JSON example; a field that the example does not have is empty.
function fillForms({ paths, components }) {
  for (const operation of operationsOf(paths)) {
    const body = lookUp(components, operation.requestBody);
    if (body) operation.requestBody = { ...body, content: filled(components, body.content) };
  }
}

function filled(components, content) {
  const { example, examples } = content["application/json"] ?? {};
  const values = example ?? Object.values(examples ?? {})[0]?.value ?? {};
  const any = content["*/*"];
  if (any) content["*/*"] = { ...any, example: values };
  const forms = Object.entries(content).filter(([type]) => /^(multi|.*urlencoded)/.test(type));
  const made = forms.map(([type, media]) => {
    const { anyOf = [], ...schema } = lookUp(components, media.schema);
    const properties = Object.assign({}, schema.properties, ...anyOf.map((each) => each.properties));
    const inputs = Object.entries(properties).map(([name, field]) => {
      return [name, { ...lookUp(components, field), example: values[name] ?? "" }];
    });
    return [type, { ...media, schema: { ...schema, properties: Object.fromEntries(inputs) } }];
  });
  return { ...content, ...Object.fromEntries(made) };
}

function lookUp(components, node) {
  const [, , kind, name] = node?.$ref?.split("/") ?? [];
  return name ? components[kind][name] : node;
}

// The paths of the shown description, and those under the dialect's name.
let named = { server: "", paths: [] };

// Shows the paths that apps use. The descriptions have those under the dialects' names, which the
// last server stands for.
function atTheMount(description) {
  const base = description.servers?.[0].url ?? "";
  const [byName, mount = byName] = description.servers ?? [{ url: "/:dialect" }, { url: "/" }];
  const servers = mount === byName ? [mount] : [mount, byName];
  description.servers = servers.map((each) => ({ ...each, url: urlFromHere(each.url) }));
  named = { server: urlFromHere(byName.url), paths: [] };
  const paths = {};
  for (const [path, { servers: _, "x-latchkey-path": moved = path, ...item }] of
    Object.entries(description.paths)) {
    // Two dialects may share a path. It is the same with and without the slash.
    const shown = moved in paths ? moved.replace(/\/$/, "") : moved;
    paths[shown] = item;
    named.paths.push({ pattern: patternOf(shown), path: base + path });
  }
  description.paths = paths;
}

function urlFromHere(url) {
  return new URL(`.${url}`, root).pathname;
}

function patternOf(template) {
  const parts = template.split(/{\w+}/).map((part) => part.replace(/[.\\+*?]/g, "\\$&"));
  return new RegExp(`^${parts.join("([^/]+)")}$`);
}

function toTheNamedPath(request) {
  const url = new URL(request.url, root);
  if (!url.pathname.startsWith(`${named.server}/`)) return request;
  const shown = url.pathname.slice(named.server.length);
  const found = named.paths.find(({ pattern }) => pattern.test(shown));
  if (found) {
    const [, ...values] = found.pattern.exec(shown);
    url.pathname = urlFromHere(found.path.replace(/{\w+}/g, () => values.shift()));
    request.url = url.href;
  }
  return request;
}

function forThisPage(description) {
  const { info, servers, tags = [] } = description;
  info.description = `${intro}\n\n${servers ? info.description : mountedHere}`;
  // The full text is shown when the dialect is chosen.
  tags.forEach((tag) => { tag.description = tag.description.replace(/\. .*/s, "."); });
  atTheMount(description);
  oneFieldForTokens(description);
  fillForms(description);
  return description;
}

const names = page.dataset.dialects.split(" ");
const everything = { name: "all dialects", url: new URL("openapi.json", root).href };
const single = names.map((name) => ({ name, url: new URL(`${name}/openapi.json`, root).href }));
const urls = single.length > 1 ? [everything, ...single] : single;

function prepare(response) {
  if (urls.some(({ url }) => url === response.url) && response.ok) {
    response.text = JSON.stringify(forThisPage(JSON.parse(response.text)));
  }
  return response;
}

const ours = ({ React }) => ({
  components: { Logo: () => React.createElement("span", null, "Latchkey") },
  // Otherwise a form keeps the values of the type that was chosen before, without sending them.
  // An empty field is not sent, unless "Send empty value" is checked.
  wrapComponents: {
    ParameterIncludeEmpty: (Original) => ({ isIncludedOptions, ...props }) => {
      const options = { ...isIncludedOptions, defaultValue: false };
      return React.createElement(Original, { ...props, isIncludedOptions: options });
    },
    RequestBody: (Original) => (props) => {
      return React.createElement(Original, { ...props, key: props.contentType });
    },
  },
  statePlugins: {
    // The token is kept when another dialect is chosen: it is valid there, too.
    auth: { wrapActions: { restoreAuthorization: () => () => undefined } },
    oas3: {
      wrapActions: {
        setRequestContentType: (original, { oas3Actions }) => ({ value, pathMethod }) => {
          original({ value, pathMethod });
          oas3Actions.setRequestBodyValue({ pathMethod, value: undefined });
        },
      },
    },
    spec: {
      wrapActions: {
        executeRequest: (original) => (request) => original(withWord(request)),
        setResponse: (original, system) => (path, method, response) => {
          learn(system, system.specSelectors.specJson().toJS().paths[path][method], response);
          return original(path, method, response);
        },
      },
    },
  },
});

SwaggerUIBundle({
  domNode: page,
  urls,
  requestInterceptor: toTheNamedPath,
  responseInterceptor: prepare,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [ours],
  layout: "StandaloneLayout",
  validatorUrl: "none",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
});
