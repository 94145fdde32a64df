package embedded

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/johannesboyne/gofakes3"
)

// aside is the directory, beside the buckets, of metadata and of files being written. No
// bucket can have this name.
const aside = ".millrace"

// backend keeps objects as plain files, <root>/<bucket>/<key>, so that any tool can open them.
type backend struct {
	root string
	// writing makes looking whether an object exists and creating it one step.
	writing sync.Mutex
}

// sidecar is what is known of an object beside its bytes. It counts only while its size is that
// of the file: a crash may leave one that was meant for another version.
type sidecar struct {
	MD5      string            `json:"md5"`
	Size     int64             `json:"size"`
	Metadata map[string]string `json:"metadata"`
}

func newBackend(root string) (*backend, error) {
	if err := os.RemoveAll(filepath.Join(root, aside, "writing")); err != nil {
		return nil, err
	}
	return &backend{root: root}, makeDir(filepath.Join(root, aside, "writing"))
}

func (b *backend) bucket(name string) string { return filepath.Join(b.root, name) }

// file is where an object lies. Keys that are not also a clean relative path are refused: they
// would end up elsewhere than they say.
func (b *backend) file(bucket, key string) (string, error) {
	local := filepath.FromSlash(key)
	if err := gofakes3.ValidateBucketName(bucket); err != nil {
		return "", err
	}
	if path.Clean(key) != key || !filepath.IsLocal(local) || strings.ContainsAny(key, "\\\x00") {
		return "", gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "key %q is not a plain path", key)
	}
	return filepath.Join(b.bucket(bucket), local), nil
}

func (b *backend) sidecar(bucket, key string) string {
	return filepath.Join(b.root, aside, "metadata", bucket, filepath.FromSlash(key)+".json")
}

func (b *backend) ListBuckets() ([]gofakes3.BucketInfo, error) {
	entries, err := os.ReadDir(b.root)
	if err != nil {
		return nil, err
	}
	var buckets []gofakes3.BucketInfo
	for _, e := range entries {
		if !e.IsDir() || e.Name() == aside {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		buckets = append(buckets, gofakes3.BucketInfo{Name: e.Name(), CreationDate: gofakes3.NewContentTime(info.ModTime())})
	}
	return buckets, nil
}

func (b *backend) BucketExists(name string) (bool, error) {
	// Names that cannot be created may be paths to elsewhere.
	if gofakes3.ValidateBucketName(name) != nil {
		return false, nil
	}
	info, err := os.Stat(b.bucket(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

func (b *backend) CreateBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return err
	}
	if ok, err := b.BucketExists(name); ok || err != nil {
		return cmp.Or(err, gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name))
	}
	return makeDir(b.bucket(name))
}

func (b *backend) DeleteBucket(name string) error {
	if ok, err := b.BucketExists(name); !ok || err != nil {
		return cmp.Or(err, gofakes3.BucketNotFound(name))
	}
	keys, err := b.keys(name)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	return b.ForceDeleteBucket(name)
}

func (b *backend) ForceDeleteBucket(name string) error {
	if ok, err := b.BucketExists(name); !ok || err != nil {
		return cmp.Or(err, gofakes3.BucketNotFound(name))
	}
	return errors.Join(os.RemoveAll(b.bucket(name)), os.RemoveAll(filepath.Join(b.root, aside, "metadata", name)))
}

// keys are all keys of a bucket in S3's order, which is that of their bytes.
func (b *backend) keys(bucket string) ([]string, error) {
	var keys []string
	root := b.bucket(bucket)
	err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, at)
		keys = append(keys, filepath.ToSlash(rel))
		return err
	})
	slices.Sort(keys)
	return keys, err
}

func (b *backend) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if ok, err := b.BucketExists(name); !ok || err != nil {
		return nil, cmp.Or(err, gofakes3.BucketNotFound(name))
	}
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	keys, err := b.keys(name)
	if err != nil {
		return nil, err
	}
	list := gofakes3.NewObjectList()
	var match gofakes3.PrefixMatch
	for _, key := range keys {
		if page.HasMarker && key <= page.Marker || !prefix.Match(key, &match) {
			continue
		}
		if page.MaxKeys > 0 && int64(len(list.Contents)+len(list.CommonPrefixes)) >= page.MaxKeys {
			list.IsTruncated = true
			break
		}
		list.NextMarker = key
		if match.CommonPrefix {
			list.AddPrefix(match.MatchedPart)
			continue
		}
		info, side, err := b.stat(name, key)
		if err != nil {
			return nil, err
		}
		list.Add(&gofakes3.Content{
			Key: key, Size: info.Size(), ETag: `"` + side.MD5 + `"`, LastModified: gofakes3.NewContentTime(info.ModTime()),
		})
	}
	return list, nil
}

// stat finds an object. Error: NoSuchKey.
func (b *backend) stat(bucket, key string) (fs.FileInfo, sidecar, error) {
	name, err := b.file(bucket, key)
	if err != nil {
		return nil, sidecar{}, err
	}
	info, err := os.Lstat(name)
	if err == nil && !info.Mode().IsRegular() || missing(err) {
		return nil, sidecar{}, gofakes3.KeyNotFound(key)
	}
	if err != nil {
		return nil, sidecar{}, err
	}
	var side sidecar
	text, err := os.ReadFile(b.sidecar(bucket, key))
	if err != nil || json.Unmarshal(text, &side) != nil || side.Size != info.Size() {
		// Somebody put the file there; an ETag only has to change when the file does.
		stamp := md5.Sum(fmt.Appendf(nil, "%d %d", info.Size(), info.ModTime().UnixNano()))
		side = sidecar{MD5: hex.EncodeToString(stamp[:]), Size: info.Size(), Metadata: map[string]string{}}
	}
	side.Metadata["Last-Modified"] = info.ModTime().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	return info, side, nil
}

// missing reports whether there is no such file, or a file where a directory is needed.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (b *backend) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	info, side, err := b.stat(bucket, key)
	if err != nil {
		return nil, err
	}
	hash, err := hex.DecodeString(side.MD5)
	return &gofakes3.Object{
		Name: key, Metadata: side.Metadata, Size: info.Size(), Hash: hash,
		Contents: io.NopCloser(strings.NewReader("")),
	}, err
}

func (b *backend) GetObject(bucket, key string, rng *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, err := b.HeadObject(bucket, key)
	if err != nil {
		return nil, err
	}
	name, err := b.file(bucket, key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if o.Range, err = rng.Range(o.Size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	from, n := int64(0), o.Size
	if o.Range != nil {
		from, n = o.Range.Start, o.Range.Length
	}
	o.Contents = section{io.NewSectionReader(f, from, n), f}
	return o, nil
}

type section struct {
	io.Reader
	io.Closer
}

func (b *backend) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	name, err := b.file(bucket, key)
	if err != nil {
		return gofakes3.ObjectDeleteResult{}, err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := os.Remove(name); err != nil && !missing(err) {
		return gofakes3.ObjectDeleteResult{}, err
	}
	// Without its object the sidecar counts for nothing, so it need not go for sure.
	_ = os.Remove(b.sidecar(bucket, key))
	return gofakes3.ObjectDeleteResult{}, nil
}

func (b *backend) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	for _, key := range keys {
		if _, err := b.DeleteObject(bucket, key); err != nil {
			result.Error = append(result.Error, gofakes3.ErrorResultFromError(err))
			continue
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}

func (b *backend) CopyObject(fromBucket, fromKey, toBucket, toKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(b, fromBucket, fromKey, toBucket, toKey, meta)
}

func (b *backend) PutObject(bucket, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	var none gofakes3.PutObjectResult
	name, err := b.file(bucket, key)
	if err != nil {
		return none, err
	}
	tmp, side, err := b.receive(meta, input, size)
	if err != nil {
		return none, err
	}
	defer os.Remove(tmp)
	b.writing.Lock()
	defer b.writing.Unlock()
	if conditions != nil {
		if err := b.check(bucket, key, conditions); err != nil {
			return none, err
		}
	}
	text, err := json.Marshal(side)
	if err != nil {
		return none, err
	}
	if err := writeFile(b.sidecar(bucket, key), text); err != nil {
		return none, err
	}
	// From here on the object exists.
	return none, moveFile(tmp, name)
}

func (b *backend) check(bucket, key string, conditions *gofakes3.PutConditions) error {
	state := gofakes3.ConditionalObjectInfo{}
	o, err := b.HeadObject(bucket, key)
	switch {
	case err == nil:
		state.Exists, state.Hash = true, o.Hash
	case !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey):
		return err
	}
	return gofakes3.CheckPutConditions(conditions, &state)
}

// receive writes the object to a file of its own and syncs it.
func (b *backend) receive(meta map[string]string, input io.Reader, size int64) (tmp string, side sidecar, err error) {
	f, err := os.CreateTemp(filepath.Join(b.root, aside, "writing"), "object-")
	if err != nil {
		return "", side, err
	}
	defer func() {
		err = cmp.Or(err, f.Close())
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	sum, crc := md5.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(io.MultiWriter(f, sum, crc), input)
	if err != nil {
		return "", side, err
	}
	if n != size {
		return "", side, gofakes3.ErrIncompleteBody
	}
	want := meta["X-Amz-Checksum-Crc32c"]
	if got := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc.Sum32())); want != "" && want != got {
		return "", side, gofakes3.ErrBadDigest
	}
	if err := f.Chmod(0o644); err != nil {
		return "", side, err
	}
	side = sidecar{MD5: hex.EncodeToString(sum.Sum(nil)), Size: n, Metadata: kept(meta)}
	return f.Name(), side, f.Sync()
}

// kept is the headers that belong to the object and not to the request.
func kept(meta map[string]string) map[string]string {
	m := make(map[string]string)
	for k, v := range meta {
		if strings.HasPrefix(k, "X-Amz-Meta-") || strings.HasPrefix(k, "Content-") {
			m[k] = v
		}
	}
	return m
}
