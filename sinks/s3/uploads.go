package s3

import (
	"context"
	"errors"
	"path"

	"github.com/millrace-io/millrace/sinks/objects"
)

// sweepPages bounds how much of a list of uploads is looked at, a thousand each.
const sweepPages = 20

// sweep aborts the unfinished uploads below prefix whose keys are mine, and returns how many there
// were. Their parts take space that nobody sees and everybody pays for. MinIO lists only uploads
// whose key is the prefix.
func (s *store) sweep(ctx context.Context, prefix string, mine func(key string) bool) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var afterKey, afterID string
	for range sweepPages {
		list, err := s.core.ListMultipartUploads(ctx, s.bucket, prefix, afterKey, afterID, "", 1000)
		if err != nil {
			return n, err
		}
		for _, u := range list.Uploads {
			if !mine(u.Key) {
				continue
			}
			if err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID); err != nil {
				return n, err
			}
			n++
		}
		if !list.IsTruncated {
			return n, nil
		}
		afterKey, afterID = list.NextKeyMarker, list.NextUploadIDMarker
	}
	return n, errors.New("there are very many")
}

// sweepOwn aborts what an earlier process of this task did not finish. It is best effort, for it
// costs space, not rows, and not everybody may list uploads.
func (s *sink) sweepOwn(ctx context.Context) {
	n, err := s.store.sweep(ctx, s.config.Static(), func(key string) bool {
		_, ok := objects.ChunkOf(path.Base(key), s.env.Identity)
		return ok
	})
	if n > 0 {
		s.env.Log.Info("aborted unfinished uploads of an earlier run", "uploads", n)
	}
	if err != nil {
		s.env.Log.Debug("unfinished uploads of an earlier run are left to the store", "error", s.store.explain(err))
	}
}
