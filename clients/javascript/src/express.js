import { Verifier } from "./server.js";

export function latchkey(url, options) {
  const verifier = new Verifier(url, options);
  const middleware = (isOptional) => (request, response, next) => {
    const proceed = ({ account, refusal }) => {
      if (response.headersSent) return; // by a timeout of the application, for example
      request.account = account;
      if (!refusal) return next();
      response.writeHead(refusal.status, refusal.headers).end(refusal.body);
    };
    verifier.verify(request.headers.authorization, { isOptional }).then(proceed, next);
  };
  return { requireAccount: middleware(false), optionalAccount: middleware(true) };
}
