{{- define "biotope.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods: (dict "root" $ "component" "correlator"). */}}
{{- define "biotope.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "biotope.labels" -}}
{{ include "biotope.selector" . }}
app.kubernetes.io/part-of: biotope
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "biotope.metadata" -}}
name: {{ include "biotope.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "biotope.labels" . | nindent 2 }}
{{- end -}}

{{- define "biotope.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := printf "%s/%s:%s" $image.repository .component (default .root.Chart.AppVersion $image.tag) -}}
{{- ternary (printf "%s/%s" $image.registry $name) $name (ne $image.registry "") -}}
{{- end -}}

{{- define "biotope.natsHost" -}}
{{ include "biotope.fullname" . }}-nats.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "biotope.busSecret" -}}
{{ default (printf "%s-bus" (include "biotope.fullname" .)) .Values.bus.existingSecret }}
{{- end -}}

{{/* The configuration file of a service: what all have, and the section of its own. (dict "root" $ "component" .. "own" (dict) "spool" path) */}}
{{- define "biotope.config" -}}
{{- $values := .root.Values -}}
{{- $scheme := ternary "tls" "nats" (ne $values.bus.tlsSecret "") -}}
{{- $bundled := list (printf "%s://%s:4222" $scheme (include "biotope.natsHost" .root)) -}}
{{- $copies := default (ternary 3 1 (ge (int $values.nats.replicas) 3)) $values.bus.streamCopies -}}
{{- $auth := dict "user" .component "password_file" "/etc/biotope/bus/password" -}}
{{- $bus := dict "servers" (default $bundled $values.bus.servers) "auth" $auth "replicas" $copies -}}
{{- if $values.bus.tlsSecret -}}
{{- $_ := set $bus "tls" (dict "required" true "ca_file" "/etc/biotope/tls/ca.crt") -}}
{{- end -}}
{{- if .spool -}}
{{- $_ := set $bus "spool" (dict "folder" .spool) -}}
{{- end -}}
{{- $telemetry := dict "log" $values.logs.level "json" $values.logs.json "sample_ratio" $values.telemetry.sampleRatio -}}
{{- if $values.telemetry.otlpEndpoint -}}
{{- $_ := set $telemetry "otlp_endpoint" $values.telemetry.otlpEndpoint -}}
{{- end -}}
{{- toYaml (dict "cluster" $values.clusterName "bus" $bus "admin" (dict "listen" "0.0.0.0:9090") "telemetry" $telemetry "service" .own) -}}
{{- end -}}

{{/* ConfigMap with that file. */}}
{{- define "biotope.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "biotope.metadata" . | nindent 2 }}
data:
  config.yaml: |
    {{- include "biotope.config" . | nindent 4 }}
{{- end -}}

{{/* Labels and annotations of a pod; a changed configuration makes new pods. */}}
{{- define "biotope.podMetadata" -}}
labels:
  {{- include "biotope.labels" . | nindent 2 }}
annotations:
  biotope.dev/config: {{ include "biotope.config" . | sha256sum }}
  {{- if .root.Values.metrics.annotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: "9090"
  {{- end }}
{{- end -}}

{{/* What every pod specification begins with. */}}
{{- define "biotope.podSpec" -}}
serviceAccountName: {{ include "biotope.fullname" .root }}-{{ .component }}
automountServiceAccountToken: {{ default false .usesCluster }}
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* No rights, no writable root, no new privileges: for all but the sensor. */}}
{{- define "biotope.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "biotope.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Image, arguments, probes, resources: the same for all services. */}}
{{- define "biotope.container" -}}
name: {{ .component }}
image: {{ include "biotope.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [--config, /etc/biotope/config.yaml]
startupProbe:
  httpGet: { path: /live, port: admin }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /live, port: admin }
  periodSeconds: 10
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /ready, port: admin }
  periodSeconds: 5
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- end -}}

{{- define "biotope.mounts" -}}
- { name: config, mountPath: /etc/biotope/config.yaml, subPath: config.yaml, readOnly: true }
- { name: bus, mountPath: /etc/biotope/bus, readOnly: true }
{{- if .root.Values.bus.tlsSecret }}
- { name: tls, mountPath: /etc/biotope/tls, readOnly: true }
{{- end }}
{{- end -}}

{{/* A service sees its own password and no other. */}}
{{- define "biotope.volumes" -}}
- name: config
  configMap: { name: {{ include "biotope.fullname" .root }}-{{ .component }} }
- name: bus
  secret:
    secretName: {{ include "biotope.busSecret" .root }}
    defaultMode: 0440
    items: [{ key: {{ .component }}, path: password }]
{{- with .root.Values.bus.tlsSecret }}
- name: tls
  secret: { secretName: {{ . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- end -}}

{{/* A claim of a StatefulSet, or a folder that goes with the pod: (dict "storage" .. "name" ..). */}}
{{- define "biotope.claim" -}}
- metadata: { name: {{ .name }} }
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storage.class }}
    storageClassName: {{ . }}
    {{- end }}
    resources: { requests: { storage: {{ .storage.size }} } }
{{- end -}}

{{- define "biotope.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "biotope.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "biotope.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "biotope.fullname" .root }}-{{ .component }}
  labels:
    {{- include "biotope.labels" . | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ include "biotope.fullname" .root }}-{{ .component }} }
subjects:
- { kind: ServiceAccount, name: {{ include "biotope.fullname" .root }}-{{ .component }}, namespace: {{ .root.Release.Namespace }} }
{{- end -}}

{{/* Who may come in: metrics for those who may read them, `ports` for everybody. `isConfined`: out only to the bus and to names. */}}
{{- define "biotope.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "biotope.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "biotope.selector" . | nindent 6 }}
  policyTypes: [Ingress{{ if .isConfined }}, Egress{{ end }}]
  ingress:
  - ports: [{ port: 9090, protocol: TCP }]
    {{- with .root.Values.metrics.from }}
    from:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- range .ports }}
  - ports: [{ port: {{ . }}, protocol: TCP }]
  {{- end }}
  {{- if .isConfined }}
  egress:
  - ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
  {{- if .root.Values.bus.servers }}
  - {}
  {{- else }}
  - ports: [{ port: 4222, protocol: TCP }]
    to:
    - podSelector:
        matchLabels:
          {{- include "biotope.selector" (dict "root" .root "component" "nats") | nindent 10 }}
  {{- if .root.Values.telemetry.otlpEndpoint }}
  - ports: [{ port: 4317, protocol: TCP }]
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}
