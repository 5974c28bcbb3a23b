// Servers of Google's services for tests. make builds them.
module imagepipelines/servers

go 1.26.0

tool github.com/fsouza/fake-gcs-server

require (
	cloud.google.com/go/pubsub/v2 v2.9.0
	github.com/fsouza/fake-gcs-server v1.56.1
)
