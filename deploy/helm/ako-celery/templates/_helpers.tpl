{{/* The name that the names of our objects begin with; room is left for "-watcher" and the hash of a pod. */}}
{{- define "ako.fullname" -}}
{{- $own := .Values.deployment -}}
{{- $name := default .Chart.Name $own.nameOverride -}}
{{- if $own.fullnameOverride -}}
{{- $own.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects bear the namespace too, so that releases of one name in two namespaces do not collide. */}}
{{- define "ako.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "ako.fullname" .) -}}
{{- end -}}

{{/* What a selector may hold: it can never change. Takes (dict "root" $ "component" "watcher"). */}}
{{- define "ako.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.deployment.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ako.labels" -}}
{{ include "ako.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* "true" for a boolean and for the text that AKO's chart has in its place, else nothing. */}}
{{- define "ako.true" -}}
{{- if eq (toString . | trim | lower) "true" }}true{{ end -}}
{{- end -}}

{{- define "ako.false" -}}
{{- if eq (toString . | trim | lower) "false" }}true{{ end -}}
{{- end -}}

{{- define "ako.port" -}}
{{- (.Values.AKOSettings).apiServerPort | default 8080 | int -}}
{{- end -}}

{{- define "ako.image" -}}
{{- $image := .Values.deployment.image -}}
{{- $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* The file that the processes follow: the settings alone, without anything secret. */}}
{{- define "ako.settings" -}}
{{- $settings := pick .Values "AKOSettings" "NetworkSettings" "L7Settings" "L4Settings" "ControllerSettings" "nodePortSelector" "featureGates" -}}
{{- $pipeline := omit (.Values.pipeline | default dict) "redisURL" -}}
{{- toYaml (merge (dict "pipeline" $pipeline) $settings) -}}
{{- end -}}

{{/* The Secret whose key `url` leads to Redis. */}}
{{- define "ako.redisSecret" -}}
{{- .Values.deployment.redis.secret | default (printf "%s-redis" (include "ako.fullname" .)) -}}
{{- end -}}

{{/* Where Redis is, without user, password and options: another place needs new processes. "" when only a Secret knows. */}}
{{- define "ako.redisPlace" -}}
{{- if .Values.deployment.redis.trial.enabled -}}
trial
{{- else -}}
{{- regexReplaceAll "\\?.*$" (regexReplaceAll "//.*@" ((.Values.pipeline).redisURL | default "" | trim) "//") "" -}}
{{- end -}}
{{- end -}}

{{/* What every pod of ours has in common. Takes (dict "root" $ "component" "watcher"). */}}
{{- define "ako.pod" -}}
{{- $own := .root.Values.deployment -}}
enableServiceLinks: false # a Service named "flower" would otherwise become the variable FLOWER_PORT
{{- with (.root.Values.image).pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "ako.podSecurity" .root | nindent 2 }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.topologyKeys }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "ako.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "ako.podMetadata" -}}
labels: {{- include "ako.selector" . | nindent 2 }}
  {{- with .root.Values.deployment.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  checksum/redis: {{ include "ako.redisPlace" .root | sha256sum }}
  {{- with .root.Values.deployment.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* No user id: the image names its own by number, and OpenShift gives each namespace another one. */}}
{{- define "ako.podSecurity" -}}
{{- $base := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $base (deepCopy (.Values.podSecurityContext | default dict))) -}}
{{- end -}}

{{- define "ako.security" -}}
{{- $base := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{- toYaml (mergeOverwrite $base (deepCopy (.Values.securityContext | default dict))) -}}
{{- end -}}

{{/* The resources of a process: its own, key by key over AKO's `resources`. Takes (dict "root" $ "own" dict). */}}
{{- define "ako.resources" -}}
{{- toYaml (mergeOverwrite (deepCopy (.root.Values.resources | default dict)) (deepCopy (.own | default dict))) -}}
{{- end -}}

{{/* The common part of every container of ours. */}}
{{- define "ako.container" -}}
image: {{ include "ako.image" . | quote }}
imagePullPolicy: {{ (.Values.image).pullPolicy | default "IfNotPresent" }}
securityContext: {{- include "ako.security" . | nindent 2 }}
{{- end -}}

{{- define "ako.env" -}}
- name: AKO_VALUES
  value: /etc/ako/settings/values.yaml
- name: AKO_REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ include "ako.redisSecret" . }}, key: url}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: POD_UID
  valueFrom:
    fieldRef: {fieldPath: metadata.uid}
{{- end -}}

{{/* Folders, not single files: only these follow a change of their ConfigMap or Secret. */}}
{{- define "ako.mounts" -}}
- {name: settings, mountPath: /etc/ako/settings, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.deployment.redis.tlsSecret }}
- {name: redis-tls, mountPath: /etc/ako/redis-tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "ako.volumes" -}}
- name: settings
  configMap: {name: {{ include "ako.fullname" . }}-settings}
- name: tmp
  emptyDir: {}
{{- with .Values.deployment.redis.tlsSecret }}
- name: redis-tls
  secret: {secretName: {{ . }}}
{{- end }}
{{- end -}}

{{- define "ako.controllerMount" -}}
- {name: controller, mountPath: /etc/ako/controller, readOnly: true}
{{- end -}}

{{- define "ako.controllerVolume" -}}
- name: controller
  secret: {secretName: {{ .Values.deployment.controllerSecret }}}
{{- end -}}

{{/* Alive is a loop that makes progress; a process that waits (for settings, a census, the lease) is alive and unready. */}}
{{- define "ako.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 45
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* The password of a Secret of ours as it is in the cluster, else a new one. Takes (dict "root" $ "name" .. "key" ..). */}}
{{- define "ako.kept" -}}
{{- $there := (lookup "v1" "Secret" .root.Release.Namespace .name | default dict).data | default dict -}}
{{- if hasKey $there .key -}}
{{- index $there .key | b64dec -}}
{{- else -}}
{{- randAlphaNum 32 -}}
{{- end -}}
{{- end -}}
