// An OpenID provider (oidc-provider from npm) and an API that wants its tokens, on one free loopback port.
//
//   node server.mjs CLIENTS_JSON ACCESS_TOKEN_SECONDS
//
// The first line of stdout is the port; every further one is an event as JSON: a grant, a token that was used twice, a
// request to the API. The API asks the provider about each token by introspection (RFC 7662), as any resource server would.
// POST /test/… is the hand of the test: it revokes grants and changes how long access tokens last.
import http from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(pathToFileURL(`${process.env.MODULES}/package.json`))
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href)

const [clients, seconds] = process.argv.slice(2)
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
let accessTokenSeconds = Number(seconds)
let delay = 0
const contacts = new Map([['c1', { id: 'c1', email: 'ann@x.test', name: 'Ann', phone: '1', v: 1 }]])

const server = http.createServer()
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`
const api = { client_id: 'api', client_secret: 'the secret of the resource server', redirect_uris: [], response_types: [], grant_types: [] }

const provider = new Provider(issuer, {
  clients: [api, ...JSON.parse(clients)],
  scopes: ['openid', 'offline_access', 'contacts'],
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
  ttl: {
    AccessToken: () => accessTokenSeconds,
    ClientCredentials: () => accessTokenSeconds,
    RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, DeviceCode: 60, AuthorizationCode: 60,
  },
  cookies: { keys: ['interop'] },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
})
provider.on('grant.success', (ctx) => tell({ event: 'granted', grant: ctx.oidc.params.grant_type, client: ctx.oidc.client.clientId }))
provider.on('grant.error', (ctx, error) => tell({ event: 'refused', grant: ctx.oidc.params?.grant_type, error: error.error, detail: error.error_detail }))
provider.on('grant.revoked', (ctx, grant) => tell({ event: 'grant_revoked', grant }))
provider.on('server_error', (ctx, error) => tell({ event: 'server_error', error: String(error) }))
provider.on('refresh_token.consumed', () => tell({ event: 'consumed' }))
provider.on('refresh_token.destroyed', () => tell({ event: 'destroyed' }))

const body = async (request) => {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

async function account(request) {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (!token) return undefined
  const basic = Buffer.from([api.client_id, api.client_secret].map(encodeURIComponent).join(':')).toString('base64')
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST', headers: { authorization: `Basic ${basic}` }, body: new URLSearchParams({ token }),
  })
  const said = await answer.json()
  return said.active && said.scope?.split(' ').includes('contacts') ? said.sub ?? said.client_id : undefined
}

async function serveApi(request, response, path) {
  const send = (status, value, headers = {}) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
  const who = await account(request)
  tell({ event: 'asked', method: request.method, path, who })
  if (!who) return send(401, { error: 'invalid_token' }, { 'www-authenticate': 'Bearer error="invalid_token"' })
  if (path === '/me') return send(200, { id: who })
  if (path === '/contacts' && request.method === 'GET') return send(200, { data: [...contacts.values()] })
  const record = contacts.get(path.slice('/contacts/'.length))
  if (!record) return send(404, {})
  if (request.method === 'PATCH') Object.assign(record, JSON.parse(await body(request)), { v: record.v + 1 })
  return send(200, record)
}

const callback = provider.callback()
server.on('request', async (request, response) => {
  const path = request.url.split('?')[0]
  if (path === '/test/access-token-seconds') accessTokenSeconds = Number(await body(request))
  else if (path === '/test/delay') delay = Number(await body(request))
  else if (path === '/test/contacts') return response.end(JSON.stringify([...contacts.values()]))
  else if (path === '/api/me' || path.startsWith('/api/contacts')) return serveApi(request, response, path.slice('/api'.length))
  else {
    if (path === '/token' && delay > 0) {
      // The grant is over and done with before its answer leaves.
      const end = response.end.bind(response)
      response.end = (...what) => setTimeout(() => end(...what), delay)
    }
    return callback(request, response)
  }
  response.end()
})
tell(server.address().port)
process.stdin.on('end', () => process.exit(0)).resume()
