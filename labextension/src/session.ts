import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { ISession } from './notices';

/** This server does not run under Apportion: there is nothing to ask for. */
export class NotUnderApportion extends Error {}

/** The hub or its service does not answer now; ask again later. */
export class Away extends Error {}

/** Ask the server extension for this session. Rejects with one of the above or a NetworkError. */
export async function fetchSession(settings: ServerConnection.ISettings): Promise<ISession> {
  const url = URLExt.join(settings.baseUrl, 'apportion/session');
  const response = await ServerConnection.makeRequest(url, {}, settings);
  if (response.status === 404) {
    throw new NotUnderApportion();
  }
  const answer = response.ok ? await response.json() : null;
  if (answer?.state !== 'ok') {
    throw new Away();
  }
  return answer.session;
}
