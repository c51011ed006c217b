//! Calls to the runtime's socket.

use std::path::Path;
use std::time::Duration;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::messages::{
    Container, ContainerStatusResponse, GetImageRequest, GetImageResponse, Image, ImageSpec, ImageStatusRequest,
    ImageStatusResponse, ListContainersRequest, ListContainersResponse, PodSandboxStatusResponse, StatusRequest,
    VersionRequest, VersionResponse,
};

/// A connection to a container runtime.
#[derive(Clone, Debug)]
pub(super) struct Client {
    channel: Channel,
    /// `containerd`, `cri-o`
    pub(super) runtime: String,
}

impl Client {
    /// Connects, and asks who answers.
    pub(super) async fn connect(socket: &Path) -> Result<Self, String> {
        let address = format!("unix://{}", socket.display());
        let endpoint = Endpoint::try_from(address).map_err(|error| error.to_string())?;
        let endpoint = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT);
        let channel = endpoint.connect().await.map_err(|error| format!("{error}: {}", source(&error)))?;
        let mut client = Self { channel, runtime: String::new() };
        let request = VersionRequest { version: "v1".to_owned() };
        let version: VersionResponse =
            client.call("/runtime.v1.RuntimeService/Version", request).await.map_err(|status| status.to_string())?;
        tracing::info!(
            runtime = version.runtime_name, version = version.runtime_version, socket = %socket.display(),
            "containers are asked for at"
        );
        client.runtime = version.runtime_name;
        Ok(client)
    }

    pub(super) async fn containers(&self) -> Result<Vec<Container>, Status> {
        let response: ListContainersResponse =
            self.call("/runtime.v1.RuntimeService/ListContainers", ListContainersRequest {}).await?;
        Ok(response.containers)
    }

    /// `None` when there is no such container.
    pub(super) async fn container(&self, id: &str) -> Result<Option<ContainerStatusResponse>, Status> {
        found(self.call("/runtime.v1.RuntimeService/ContainerStatus", status(id)).await)
    }

    /// `None` when there is no such sandbox.
    pub(super) async fn sandbox(&self, id: &str) -> Result<Option<PodSandboxStatusResponse>, Status> {
        found(self.call("/runtime.v1.RuntimeService/PodSandboxStatus", status(id)).await)
    }

    pub(super) async fn image(&self, image: &str) -> Result<Option<Image>, Status> {
        let spec = ImageSpec { image: image.to_owned(), user_specified_image: String::new() };
        let request = ImageStatusRequest { image: Some(spec) };
        let response: ImageStatusResponse = self.call("/runtime.v1.ImageService/ImageStatus", request).await?;
        Ok(response.image)
    }

    /// The digest that containerd keeps an image by. Of an image that was put there without a registry the common interface tells
    /// none.
    pub(super) async fn stored_digest(&self, name: &str) -> Option<String> {
        if self.runtime != "containerd" {
            return None;
        }
        let mut request = Request::new(GetImageRequest { name: name.to_owned() });
        request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static("k8s.io"));
        let answer: Result<GetImageResponse, Status> =
            self.send("/containerd.services.images.v1.Images/Get", request).await;
        Some(answer.ok()?.image?.target?.digest)
    }

    async fn call<Q, R>(&self, method: &'static str, request: Q) -> Result<R, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        R: prost::Message + Default + Send + Sync + 'static,
    {
        self.send(method, Request::new(request)).await
    }

    async fn send<Q, R>(&self, method: &'static str, request: Request<Q>) -> Result<R, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        R: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, R>::default();
        let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }
}

fn status(id: &str) -> StatusRequest {
    StatusRequest { id: id.to_owned(), verbose: true }
}

fn found<R>(answer: Result<R, Status>) -> Result<Option<R>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        // containerd says so of a sandbox in the making.
        Err(status) if status.code() == Code::Unknown && status.message().contains("not found") => Ok(None),
        Err(status) => Err(status),
    }
}

fn source(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

const TIMEOUT: Duration = Duration::from_secs(2);

/// A node has hundreds of containers with some kilobytes each.
const MAX_MESSAGE: usize = 32 << 20;
