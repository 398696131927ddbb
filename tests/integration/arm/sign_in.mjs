// Signs in with Azure's own library and asks Berth for what the token allows. Each check is a line; the exit status says
// whether all held. usage: sign_in.mjs ORIGIN CLIENT_ID SECRET
import { ClientSecretCredential } from '@azure/identity';

const [origin, clientId, secret] = process.argv.slice(2);
let failures = 0;

function check(what, holds, seen) {
  if (holds) console.log(`ok: ${what}`);
  else {
    failures += 1;
    console.log(`FAILED: ${what}: ${seen}`);
  }
}

function credential(withSecret) {
  return new ClientSecretCredential('adfs', clientId, withSecret, {
    authorityHost: origin,
    disableInstanceDiscovery: true,
    retryOptions: { maxRetries: 0 },
  });
}

const token = await credential(secret).getToken(`${origin}/.default`);
check('tenant adfs gives a token', token.token.split('.').length === 3, token.token);
const left = token.expiresOnTimestamp - Date.now();
// The library counts from when it has read the answer, in whole seconds.
check('it lives for 90 minutes', Math.abs(left - 90 * 60_000) < 5 * 60_000, `${left} ms`);

const answer = await fetch(`${origin}/api/v1/gpus`, { headers: { authorization: `Bearer ${token.token}` } });
check('the token opens the API', answer.status === 200, answer.status);
const change = await fetch(`${origin}/api/v1/kubernetes/enable`, {
  method: 'POST',
  headers: { authorization: `Bearer ${token.token}` },
});
check('a reader changes nothing', change.status === 403, change.status);

const wrong = await credential('not the secret').getToken(`${origin}/.default`).catch((error) => error);
check('a wrong secret gives no token', wrong.name === 'AuthenticationRequiredError', wrong.name);
check('and the number Azure has for it', String(wrong.message).includes('AADSTS7000215'), wrong.message);
process.exit(failures === 0 ? 0 : 1);
