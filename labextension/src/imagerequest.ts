/** Where a request for an image stands, in words. */

import { IImageRequest } from './answers';
import { ITranslate } from './format';

export function imageRequestText(request: IImageRequest, trans: ITranslate): string {
  const percent = request.progress === null ? '' : ` ${Math.round(request.progress * 100)} %`;
  switch (request.state) {
    case 'requested':
      return trans.__('The image "%1" waits for an admin to approve it.', request.name);
    case 'approved':
      return trans.__('The image "%1" is approved and will be saved.', request.name);
    case 'committing':
    case 'cleaning':
      return trans.__('The image "%1" is being saved.', request.name) + percent;
    case 'pushing':
      return trans.__('The image "%1" is being pushed to the registry.', request.name) + percent;
    case 'done':
      return trans.__('The image is ready: %1', request.reference ?? request.name);
    case 'declined':
      return trans.__('The image "%1" was declined: %2', request.name, request.reason);
    case 'cancelled':
      return trans.__('The request for the image "%1" was withdrawn.', request.name);
    default:
      return trans.__('The image "%1" could not be made: %2', request.name, request.reason);
  }
}
